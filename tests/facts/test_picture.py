# SPDX-License-Identifier: Apache-2.0
"""What a report draws and quotes: the path with its counts, the series as rates, the raw lines."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import Observation, build
from vnetkb.facts.plots import merged, rates
from vnetkb.facts.together import correlation
from vnetkb.kb.load import load_kb

KB = load_kb()
QDISC = [{"kind": "fq_codel", "handle": "0:", "dev": "vnet3", "root": True, "options": {}}]


def only(host: Host, folder: Path) -> Observation:
    (observation,) = build(read_bundle(host.write(folder)), KB).observations
    return observation


def test_a_taps_path_counts_each_point_and_marks_where_packets_are_lost(tmp_path: Path) -> None:
    qdisc = [json.dumps([QDISC[0] | {"packets": n, "drops": d}]) for n, d in ((1000, 4), (1900, 6))]
    host = Host(
        [Device("vnet3", (100, 268), (900, 1400))],
        captures={"host/0/tc-qdisc": qdisc[0], "host/1/tc-qdisc": qdisc[1]},
    )
    one, of_its_qdisc = build(read_bundle(host.write(tmp_path)), KB).observations
    assert (of_its_qdisc.symptom.counter, of_its_qdisc.symptom.delta) == ("qdisc.drops", 2)
    picture = one.picture
    assert picture is not None
    path = picture.path
    assert path is not None
    assert (path.way, path.losing, path.lost, path.seconds) == ("to-guest", ("qdisc", "ring"), 168, 10.0)
    assert [point.id for point in path.points] == ["port", "qdisc", "ring", "reader", "guest"]
    points = {point.id: point for point in path.points}
    assert (points["qdisc"].value("passed"), points["qdisc"].value("lost")) == (900, 2)
    assert (points["ring"].value("lost"), points["reader"].value("passed")) == (168, 500)
    assert points["guest"].value("passed") is None
    for point in path.points:
        for count in point.counts:
            assert bool(count.captures) or bool(count.why_unknown)


def test_a_number_of_the_path_that_is_not_known_says_why(tmp_path: Path) -> None:
    picture = only(Host([Device("vnet3", (100, 268), (900, 1400))]), tmp_path).picture
    assert picture is not None
    assert picture.path is not None
    qdisc = picture.path.points[1]
    assert qdisc.value("passed") is None
    assert all(count.why_unknown for count in qdisc.counts)


def test_the_path_of_received_packets_runs_the_other_way(tmp_path: Path) -> None:
    more = {"statistics/rx_dropped": (5, 25), "statistics/rx_packets": (10, 30)}
    picture = only(Host([Device("vnet3", (0, 0), (9, 9), more=more)]), tmp_path).picture
    assert picture is not None
    path = picture.path
    assert path is not None
    assert (path.way, [point.id for point in path.points]) == (
        "from-guest",
        ["guest", "writer", "device", "port"],
    )
    assert path.points[2].value("lost") == 20


def test_plots_are_rates_with_gaps_where_nothing_is_known(tmp_path: Path) -> None:
    series = [(1000, 100), (1100, 110), (900, 50), (950, 60)]
    host = Host([Device("vnet3", (100, 268), (900, 1400), series=series)], every_s=2.0)
    picture = only(host, tmp_path).picture
    assert picture is not None
    (plot,) = picture.plots
    assert (plot.id, plot.unit, plot.starts) == ("packets", "packets/s", (0.0, 2.0, 4.0))
    assert {curve.id: curve.values for curve in plot.curves} == {
        "lost": (5.0, None, 5.0),
        "passed": (50.0, None, 25.0),
    }
    assert plot.top == 50.0
    assert all(curve.captures == ("series/proc-net-dev",) for curve in plot.curves)


def test_without_a_series_there_is_nothing_to_plot(tmp_path: Path) -> None:
    picture = only(Host([Device("vnet3", (100, 268), (900, 1400))]), tmp_path).picture
    assert picture is not None
    assert picture.plots == ()


def test_a_quote_is_the_line_that_stands_there(tmp_path: Path) -> None:
    host = Host([Device("vnet33", (1, 1)), Device("vnet3", (100, 268), (900, 1400), ifindex=(8, 8))])
    bundle = read_bundle(host.write(tmp_path))
    (observation,) = [o for o in build(bundle, KB).observations if o.subject.name == "vnet3"]
    assert observation.picture is not None
    quotes = observation.picture.quotes("host/1/sysfs-net", "tap.tx_dropped")
    data = bundle.data("sysfs-net", 1)
    assert data is not None
    assert [quote.text for quote in quotes] == ["vnet3/statistics/tx_dropped:268"]
    for quote in quotes:
        assert data.decode().split("\n")[quote.line - 1] == quote.text
    assert observation.picture.quotes("host/9/sysfs-net", "tap.tx_dropped") == ()


@given(lost=st.lists(st.none() | st.integers(0, 9), max_size=30), at_most=st.integers(1, 8))
def test_merging_intervals_neither_loses_nor_makes_packets(lost: list[int | None], at_most: int) -> None:
    seconds = [1.0 + (n % 3) for n in range(len(lost))]
    values = rates(lost, seconds)
    few, lengths = merged(values, tuple(seconds), at_most)
    assert len(few) == len(lengths) <= max(1, at_most)
    assert math.isclose(sum(lengths), sum(seconds))
    if None not in lost:
        assert math.isclose(
            sum(v * s for v, s in zip(few, lengths, strict=True) if v is not None), sum(n or 0 for n in lost)
        )
    if lost and all(value is None for value in lost):
        assert set(few) == {None}


numbers = st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=30)


@given(values=numbers)
def test_correlation_is_of_ranks(values: list[float]) -> None:
    if len(set(values)) < 2:
        assert correlation(values, values) is None
        return
    assert correlation(values, values) == pytest.approx(1.0)
    assert correlation(values, [-value for value in values]) == pytest.approx(-1.0)


@given(one=numbers, other=numbers)
def test_correlation_lies_between_its_bounds_and_does_not_care_which_is_first(
    one: list[float], other: list[float]
) -> None:
    together = correlation(one, other)
    assert together == correlation(other, one)
    assert together is None or -1.0 <= together <= 1.0


def test_too_few_moments_show_no_correlation() -> None:
    assert correlation([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]) is None
    assert correlation([1.0, None, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]) is None


def test_what_moved_with_the_drops_is_told_with_its_members(tmp_path: Path) -> None:
    lost = (0, 5, 0, 50, 10, 100)
    series, stat, net, soft = [(1000, 100)], "", 0, ""
    for k, drops in enumerate((0, *lost)):
        stat += f"@ {k} {1000 + k:.2f}\ncpu  9 0 9 9 0 0 0 {7 * sum((0, *lost)[: k + 1])} 0 0\n"
        soft += f"@ {k} {1000 + k:.2f}\n" + " ".join(["00000001"] * 13) + "\n"
        if k:
            net += drops
            series.append((1000 + 100 * k, 100 + net))
    host = Host(
        [Device("vnet3", (100, 100 + net), (1000, 1600), series=series)],
        captures={"series/proc-stat": stat, "series/softnet-stat": soft},
    )
    picture = only(host, tmp_path).picture
    assert picture is not None
    assert picture.losing_intervals == (4, 6)
    found = {one.id: one for one in picture.together}
    assert found["steal"].correlation == pytest.approx(1.0)
    assert found["offered"].correlation == pytest.approx(1.0)
    assert "softnet" not in found
    assert found["steal"].intervals == 6
    assert set(found["steal"].captures) == {"series/proc-net-dev", "series/proc-stat"}
