"""PromQL for panels: the variables' matchers, and figures that several agents of one volume share."""

from __future__ import annotations

VARIABLES = ("cluster", "namespace", "job", "pod", "instance")
_MATCHERS = ", ".join(f'{name}=~"${name}"' for name in VARIABLES)


def select(metric: str, *matchers: str) -> str:
    """The metric's series that the dashboard's variables choose."""
    return f"{metric}{{{', '.join((_MATCHERS, *matchers))}}}"


def in_state(state: str) -> str:
    """Session files that are valid, invalid or unreadable."""
    return select("raptor_sessions", f'state="{state}"')


def scrapes() -> str:
    """`up` of the agents alone: of jobs in which an agent answered within a day."""
    return (
        f"({select('up')} and on (cluster, job) last_over_time({select('raptor_exporter_build_info')}[1d]))"
    )


def of_agents(expression: str) -> str:
    """Only the agents' series of a metric that every Prometheus client exports."""
    labels = ", ".join(VARIABLES)
    return f"({expression} and on ({labels}) {select('raptor_exporter_build_info')})"


def rate(counter: str, *matchers: str) -> str:
    """Per second."""
    return f"rate({select(counter, *matchers)}[$__rate_interval])"


def increase(counter: str, *matchers: str, over: str = "$__rate_interval") -> str:
    """How much was added in the window."""
    return f"increase({select(counter, *matchers)}[{over}])"


def total(expression: str, *labels: str) -> str:
    """The sum over agents, for what each of them counts by itself."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def once_per_store(metric: str, *labels: str, matchers: tuple[str, ...] = ()) -> str:
    """The sum over stores of a figure that every agent on a store exports alike.

    A target without the label `store` has a store of its own, named like its instance.
    """
    named = select(metric, *matchers, 'store!=""')
    unnamed = select(metric, *matchers, 'store=""')
    alone = f'label_replace({unnamed}, "store", "$1", "instance", "(.+)")'
    each = ", ".join(("cluster", "namespace", "job", "store", *labels))
    return total(f"max by ({each}) ({named} or {alone})", *labels)


def quantile(of: float, histogram: str, *labels: str) -> str:
    """A quantile of what was observed in the window."""
    return f"histogram_quantile({of}, {total(rate(f'{histogram}_bucket'), 'le', *labels)})"
