from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from raptor_exporter.web.exposition import Exposition
from raptor_exporter.web.negotiate import OPENMETRICS, TEXT


class Families:
    """A collector of whatever a test sets."""

    def __init__(self, *families):
        self.families = families

    def collect(self):
        return list(self.families)


def families(value=1.0):
    gauge = GaugeMetricFamily("a_gauge", 'With "quotes",\na line\\end.', labels=["label"])
    gauge.add_metric(['x"\n\\'], value)
    gauge.add_metric(["é"], math.inf)
    counter = CounterMetricFamily("a_counter", "Counts.", value=3)
    buckets = [("1.0", 2), ("+Inf", 4)]
    return (
        gauge,
        counter,
        HistogramMetricFamily("a_histogram", "Spread.", buckets=buckets, sum_value=7.5),
        GaugeHistogramMetricFamily("a_state", "Spread now.", buckets=buckets, gsum_value=7.5),
    )


@pytest.mark.parametrize(("fmt", "generate"), [(TEXT, generate_latest), (OPENMETRICS, generate_openmetrics)])
def test_what_is_written_is_what_the_client_library_writes_also_when_it_changes(fmt, generate):
    source = Families()
    exposition = Exposition(lambda: [source])
    exposition.render(fmt)
    for value in (1.0, 1.0, 2.0, math.nan, math.nan, 1.0):
        source.families = families(value)
        registry = CollectorRegistry()
        registry.register(source)
        expected = generate(registry).removesuffix(b"# EOF\n")
        assert exposition.render(fmt).startswith(expected + b"# HELP raptor_exporter_collector_errors")


def test_a_changed_label_help_or_type_is_written_anew():
    source = Families(GaugeMetricFamily("m", "One.", value=1))
    exposition = Exposition(lambda: [source])
    assert b"# HELP m One.\n# TYPE m gauge\nm 1.0\n" in exposition.render()
    source.families = (GaugeMetricFamily("m", "Two.", value=1),)
    assert b"# HELP m Two.\n" in exposition.render()
    changed = Metric("m", "Two.", "unknown")
    changed.add_sample("m", {}, 1)
    source.families = (changed,)
    assert b"# TYPE m untyped\n" in exposition.render()


def test_a_family_that_is_changed_in_place_is_written_anew():
    family = GaugeMetricFamily("m", "One.", labels=["l"])
    exposition = Exposition(lambda: [Families(family)])
    assert b"m{" not in exposition.render()
    family.add_metric(["x"], 5)
    assert b'm{l="x"} 5.0\n' in exposition.render()


def test_openmetrics_ends_once_and_parses_strictly():
    text = Exposition(lambda: [Families(*families())]).render(OPENMETRICS).decode()
    assert text.count("# EOF") == 1
    assert [family.name for family in parse_openmetrics(text)] == [
        "a_gauge",
        "a_counter",
        "a_histogram",
        "a_state",
        "raptor_exporter_collector_errors",
    ]


@pytest.mark.parametrize("fmt", [TEXT, OPENMETRICS])
def test_a_collector_with_one_sample_that_cannot_be_written_is_missing_as_a_whole(fmt, caplog):
    class Odd(Families):
        pass

    good = GaugeMetricFamily("good", "Fine.", value=1)
    bad = GaugeMetricFamily("bad", "Not.")
    bad.add_sample("bad", {"l": None}, 1)
    exposition = Exposition(lambda: [Odd(good, bad), Families(GaugeMetricFamily("other", "Fine.", value=2))])
    text = exposition.render(fmt)
    assert b"good" not in text
    assert b"other 2.0\n" in text
    assert exposition.render(fmt).endswith(
        b'raptor_exporter_collector_errors_total{collector="Families"} 0.0\n'
        b'raptor_exporter_collector_errors_total{collector="Odd"} 2.0\n'
        + (b"# EOF\n" if fmt is OPENMETRICS else b"")
    )
    assert len([r for r in caplog.records if r.exc_info]) == 2
