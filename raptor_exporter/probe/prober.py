"""Asks many endpoints at once whether their browsers are alive and still the same."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TypeVar

from raptor_exporter.probe.hosts import (
    HostNotAllowed,
    Resolver,
    addresses_of,
    is_allowed,
    literal_address,
    resolve_host,
)
from raptor_exporter.probe.http import Answer, Target, ask
from raptor_exporter.probe.result import ProbeKind, ProbeResult
from raptor_exporter.session import Endpoint

TIMEOUT = 2.0  # seconds for one attempt
CONCURRENCY = 50

_BROWSER_PATH = "/devtools/browser/"
SECURE = ("wss", "https")

_T = TypeVar("_T")
_R = TypeVar("_R")

# Where a host has several addresses (localhost), the answer that speaks for it: proof of life first,
# then every doubt, and only then what says that the browser is gone.
_WEIGHT = (
    ProbeKind.ALIVE,
    ProbeKind.HUNG,
    ProbeKind.GARBAGE,
    ProbeKind.UNTRUSTED,
    ProbeKind.FAILED,
    ProbeKind.OTHER_BROWSER,
    ProbeKind.REFUSED,
)


async def probe_endpoint(
    endpoint: Endpoint,
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # one attempt's limit, not the caller's
    allowed_hosts: Collection[str] | None,
    resolve: Resolver = resolve_host,
) -> ProbeResult:
    """Ask one endpoint; see ``probe_endpoints``."""
    results = await probe_endpoints(
        (endpoint,), timeout=timeout, allowed_hosts=allowed_hosts, resolve=resolve
    )
    return results[endpoint]


async def probe_endpoints(
    endpoints: Iterable[Endpoint],
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # one attempt's limit, not the pass's
    concurrency: int = CONCURRENCY,
    allowed_hosts: Collection[str] | None,
    resolve: Resolver = resolve_host,
    progress: Callable[[int], None] = lambda _done: None,
) -> dict[Endpoint, ProbeResult]:
    """Ask every endpoint; one request serves all the sessions at one address. Never raises.

    Args:
        endpoints: whose sessions are asked after.
        timeout: seconds for the lookup of a name and for each of at most two attempts.
        concurrency: lookups or requests in flight.
        allowed_hosts: hosts as they are written in the URL; others are not called. None: all are.
        resolve: looks a name up; each is looked up once in a pass, and its first address called.
        progress: called with about how many of the endpoints are done.
    """
    results: dict[Endpoint, ProbeResult] = {}
    asked: list[Endpoint] = []
    for endpoint in endpoints:
        if is_allowed(endpoint.host, allowed_hosts):
            asked.append(endpoint)
        else:
            results[endpoint] = ProbeResult(
                ProbeKind.NOT_ALLOWED,
                f"the host {endpoint.host} is not in probe.allowed_hosts, so it was not called",
            )

    async def look_up(host: str) -> tuple[str, ...] | ProbeResult:
        return await _look_up(host, resolve, timeout)

    hosts = await _for_each({e.host for e in asked}, look_up, concurrency)

    targets: dict[Endpoint, list[Target]] = {}
    for endpoint in asked:
        found = hosts[endpoint.host]
        if isinstance(found, ProbeResult):
            results[endpoint] = found
        else:
            targets[endpoint] = [target_of(endpoint, address) for address in found]

    context = None
    if any(endpoint.scheme in SECURE for endpoint in targets):
        # Unverified, an impostor's "another browser" would get sessions deleted.
        context = ssl.create_default_context()

    async def call(target: Target) -> Answer:
        return await ask(target, timeout, context)

    calls = {t for ts in targets.values() for t in ts}

    def advance(done: int) -> None:
        progress(len(targets) * done // len(calls))

    answers = await _for_each(calls, call, concurrency, advance)
    for endpoint, ts in targets.items():
        results[endpoint] = _judge(endpoint, [answers[t] for t in ts])
    return results


async def _for_each(
    items: Collection[_T],
    work: Callable[[_T], Awaitable[_R]],
    concurrency: int,
    progress: Callable[[int], None] = lambda _done: None,
) -> dict[_T, _R]:
    """The result of ``work`` for every item, at most ``concurrency`` at once."""
    results: dict[_T, _R] = {}
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            results[item] = await work(item)
            progress(len(results))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(max(concurrency, 1), len(items))):
            group.create_task(worker())
    return results


async def _look_up(host: str, resolve: Resolver, timeout: float) -> tuple[str, ...] | ProbeResult:  # noqa: ASYNC109  # its limit
    try:
        async with asyncio.timeout(timeout):
            return await addresses_of(host, resolve)
    except HostNotAllowed as error:
        return ProbeResult(ProbeKind.NOT_ALLOWED, str(error))
    except TimeoutError:
        return ProbeResult(ProbeKind.NOT_RESOLVED, f"the name {host} was not resolved within {timeout:g}s")
    except OSError:
        return ProbeResult(ProbeKind.NOT_RESOLVED, f"the name {host} did not resolve")


def target_of(endpoint: Endpoint, address: str) -> Target:
    """How to call an endpoint at one of its addresses."""
    if endpoint.scheme in SECURE:
        # Behind TLS stands a proxy, which goes by the name; Chromium itself speaks none.
        name = literal_address(endpoint.host) or endpoint.host
        name = name.partition("%")[0]
        return Target(address, endpoint.port, _host_header(name, endpoint.port), tls_name=name)
    # Chromium answers 500 to a Host that is a name.
    header = _host_header(address.partition("%")[0], endpoint.port)
    return Target(address, endpoint.port, header, tls_name=None)


def _host_header(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host.encode('idna').decode()}:{port}"


def _judge(endpoint: Endpoint, answers: Sequence[Answer]) -> ProbeResult:
    verdicts = [_verdict(endpoint, answer) for answer in answers]
    return min(verdicts, key=lambda verdict: _WEIGHT.index(verdict.kind))


def _verdict(endpoint: Endpoint, answer: Answer) -> ProbeResult:
    if answer.kind is not ProbeKind.ALIVE:
        return ProbeResult(answer.kind, answer.detail)
    if endpoint.path.startswith("/devtools/page/"):
        return ProbeResult(
            ProbeKind.ALIVE,
            "answers; the URL names a tab, so it can't be told whether it is the same browser",
        )
    if not endpoint.path.startswith(_BROWSER_PATH):
        # The URL means whichever browser is at that address.
        return ProbeResult(ProbeKind.ALIVE, "answers")
    if answer.browser_path == endpoint.path:
        return ProbeResult(ProbeKind.ALIVE, "answers and is the same browser")
    if not answer.browser_path.startswith(_BROWSER_PATH):
        return ProbeResult(ProbeKind.GARBAGE, "answers, but does not say which browser it is")
    return ProbeResult(ProbeKind.OTHER_BROWSER, f"another browser answers at {endpoint.address}")
