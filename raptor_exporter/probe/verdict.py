"""From what an address answered to a verdict on each of its sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from raptor_exporter.probe.http import Answer
from raptor_exporter.probe.result import ProbeKind, ProbeResult
from raptor_exporter.session import Endpoint

_BROWSER_PATH = "/devtools/browser/"
_PAGE_PATH = "/devtools/page/"

_SAME = ProbeResult(ProbeKind.ALIVE, "answers and is the same browser")
# The URL means whichever browser is at that address.
_ANY = ProbeResult(ProbeKind.ALIVE, "answers")
_TAB = ProbeResult(
    ProbeKind.ALIVE, "answers; the URL names a tab, so it can't be told whether it is the same browser"
)

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


def judge(group: Iterable[Endpoint], answers: Sequence[Answer]) -> Iterator[tuple[Endpoint, ProbeResult]]:
    """A verdict on each endpoint of one scheme, host and port, by the answers of its addresses."""
    own = {answer.browser_path for answer in answers}
    known: dict[str, ProbeResult] = {}
    for endpoint in group:
        # All that a path can make a difference by, so that a crowd shares its few verdicts.
        path = endpoint.path
        question = path if path in own else _kind_of_path(path)
        verdict = known.get(question)
        if verdict is None:
            verdicts = [_verdict(endpoint, answer) for answer in answers]
            verdict = known[question] = min(verdicts, key=lambda v: _WEIGHT.index(v.kind))
        yield endpoint, verdict


def _kind_of_path(path: str) -> str:
    return next((start for start in (_BROWSER_PATH, _PAGE_PATH) if path.startswith(start)), "")


def _verdict(endpoint: Endpoint, answer: Answer) -> ProbeResult:
    if answer.kind is not ProbeKind.ALIVE:
        return ProbeResult(answer.kind, answer.detail)
    kind = _kind_of_path(endpoint.path)
    if kind != _BROWSER_PATH:
        return _TAB if kind == _PAGE_PATH else _ANY
    if answer.browser_path == endpoint.path:
        return _SAME
    if not answer.browser_path.startswith(_BROWSER_PATH):
        return ProbeResult(ProbeKind.GARBAGE, "answers, but does not say which browser it is")
    return ProbeResult(ProbeKind.OTHER_BROWSER, f"another browser answers at {endpoint.address}")
