"""Asks many endpoints at once whether their browsers are alive and still the same."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeVar

from raptor_exporter.probe.connection import Target
from raptor_exporter.probe.hosts import (
    HostNotAllowed,
    Resolver,
    addresses_of,
    is_allowed,
    literal_address,
    resolve_host,
)
from raptor_exporter.probe.http import Answer, ask
from raptor_exporter.probe.result import ProbeKind, ProbeResult
from raptor_exporter.probe.verdict import judge
from raptor_exporter.session import Endpoint

TIMEOUT = 2.0  # seconds for one attempt
CONCURRENCY = 50

SECURE = ("wss", "https")

_T = TypeVar("_T")
_R = TypeVar("_R")


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
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[Endpoint, ProbeResult]:
    """Ask every endpoint; one request serves all the sessions at one address. Never raises.

    Args:
        endpoints: whose sessions are asked after.
        timeout: seconds for the lookup of a name and for each of at most two attempts.
        concurrency: lookups or requests in flight.
        allowed_hosts: hosts as they are written in the URL; others are not called. None: all are.
        resolve: looks a name up; each is looked up once in a pass, and its first address called.
        progress: called with the numbers of requests that are done, and of all.
    """
    by_origin: dict[tuple[str, str, int], list[Endpoint]] = {}
    for endpoint in endpoints:
        by_origin.setdefault((endpoint.scheme, endpoint.host, endpoint.port), []).append(endpoint)
    groups = list(by_origin.values())

    async def look_up(host: str) -> tuple[str, ...] | ProbeResult:
        return await _look_up(host, allowed_hosts, resolve, timeout)

    hosts = await _for_each({group[0].host for group in groups}, look_up, concurrency)
    calls: dict[Target, None] = {}  # each once, in the order of the endpoints
    ways: list[list[Target] | ProbeResult] = []
    for group in groups:
        found = hosts[group[0].host]
        if isinstance(found, ProbeResult):
            ways.append(found)
        else:
            targets = [target_of(group[0], address) for address in found]
            ways.append(targets)
            calls.update(dict.fromkeys(targets))

    context = None
    if any(target.tls_name is not None for target in calls):
        # Unverified, an impostor's "another browser" would get sessions deleted.
        context = await asyncio.to_thread(ssl.create_default_context)  # reads all certificates

    async def call(target: Target) -> Answer:
        return await ask(target, timeout, context)

    answers = await _for_each(calls, call, concurrency, progress)
    results: dict[Endpoint, ProbeResult] = {}
    for group, way in zip(groups, ways, strict=True):
        if isinstance(way, ProbeResult):
            results.update(dict.fromkeys(group, way))
        else:
            results.update(judge(group, [answers[target] for target in way]))
            await asyncio.sleep(0)  # a hundred thousand sessions must not hold up the agent's other work
    return results


async def _for_each(
    items: Collection[_T],
    work: Callable[[_T], Awaitable[_R]],
    concurrency: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[_T, _R]:
    """The result of ``work`` for every item, at most ``concurrency`` at once."""
    results: dict[_T, _R] = {}
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            results[item] = await work(item)
            progress(len(results), len(items))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(max(concurrency, 1), len(items))):
            group.create_task(worker())
    return results


async def _look_up(
    host: str,
    allowed_hosts: Collection[str] | None,
    resolve: Resolver,
    timeout: float,  # noqa: ASYNC109  # the lookup's own limit
) -> tuple[str, ...] | ProbeResult:
    if not is_allowed(host, allowed_hosts):
        detail = f"the host {host} is not in probe.allowed_hosts, so it was not called"
        return ProbeResult(ProbeKind.NOT_ALLOWED, detail)
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
