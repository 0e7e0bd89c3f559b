"""``raptor_cleanup_*``: what policies would do and did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from raptor_exporter.cleanup.plan import Plan
from raptor_exporter.cleanup.policy import Mode, Policy
from raptor_exporter.metrics.figures import PolicyFigures


class PlanCollector:
    """What the policies are, and what they would do now."""

    def __init__(self, policies: Callable[[], Sequence[Policy]], plan: Callable[[], Plan | None]) -> None:
        self._policies = policies
        self._plan = plan

    def collect(self) -> Iterable[Metric]:
        """The policies in force; what they would do once there is a plan."""
        enforced = _gauge("raptor_cleanup_enforced", "1 in mode enforce, 0 in mode plan.")
        interval = _gauge("raptor_cleanup_interval_seconds", "Time between two runs of a policy.")
        policies = self._policies()
        for policy in policies:
            enforced.add_metric([policy.name], float(policy.mode is Mode.ENFORCE))
            interval.add_metric([policy.name], policy.interval)
        yield enforced
        yield interval
        plan = self._plan()
        if plan is None:
            return
        candidates = _gauge("raptor_cleanup_candidates", "Sessions that a policy would delete now.")
        exceeded = _gauge(
            "raptor_cleanup_cap_exceeded", "1 if keep, protect or a guard hold a policy over its cap."
        )
        current = {policy.name for policy in policies}
        for policy_plan in plan.policies:
            if policy_plan.policy.name in current:  # a reload may have come since the plan was made
                candidates.add_metric([policy_plan.policy.name], len(policy_plan.deletions))
                exceeded.add_metric([policy_plan.policy.name], float(policy_plan.cap_exceeded))
        yield candidates
        yield exceeded


class RunCollector:
    """What the policies did; every series of a policy in force is there at 0 from the start."""

    def __init__(
        self,
        policies: Callable[[], Sequence[Policy]],
        figures: Callable[[], Mapping[str, PolicyFigures]],
        next_run: Callable[[str], float | None],
    ) -> None:
        self._policies = policies
        self._figures = figures
        self._next_run = next_run

    def collect(self) -> Iterable[Metric]:
        """Fresh families of all policies in force."""
        runs = _counter("raptor_cleanup_runs", "Runs of a policy by outcome.", "outcome")
        deleted = _counter("raptor_cleanup_deleted_sessions", "Sessions deleted, by reason.", "reason")
        deleted_bytes = _counter("raptor_cleanup_deleted_bytes", "Bytes of sessions moved to the trash.")
        failures = _counter("raptor_cleanup_failures", "Deletions that failed.")
        skipped = _counter(
            "raptor_cleanup_skipped", "Sessions chosen, but changed before the deletion, so spared."
        )
        durations = HistogramMetricFamily(
            "raptor_cleanup_duration_seconds", "How long runs took.", labels=["policy"]
        )
        last_run = _gauge("raptor_cleanup_last_run_timestamp_seconds", "When a policy last ran.")
        last_success = _gauge(
            "raptor_cleanup_last_success_timestamp_seconds", "When a policy last succeeded."
        )
        next_run = _gauge("raptor_cleanup_next_run_timestamp_seconds", "When a policy runs next.")
        known = self._figures()
        for policy in self._policies():
            name, figures = policy.name, known.get(policy.name) or PolicyFigures()
            for outcome, count in figures.runs.items():
                runs.add_metric([name, outcome], count)
            for reason, count in figures.deleted.items():
                deleted.add_metric([name, reason], count)
            deleted_bytes.add_metric([name], figures.deleted_bytes)
            failures.add_metric([name], figures.failures)
            skipped.add_metric([name], figures.skipped)
            durations.add_metric([name], figures.durations.buckets(), figures.durations.sum)
            for family, moment in (
                (last_run, figures.last_run),
                (last_success, figures.last_success),
                (next_run, self._next_run(name)),
            ):
                if moment is not None:
                    family.add_metric([name], moment)
        yield from (
            runs,
            deleted,
            deleted_bytes,
            failures,
            skipped,
            durations,
            last_run,
            last_success,
            next_run,
        )


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["policy"])


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=["policy", *labels])
