# SPDX-License-Identifier: Apache-2.0
"""Which taps are said to lose packets, and how many."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import Observation, Observations, build
from vnetkb.facts.deltas import U32, difference, total
from vnetkb.kb.load import load_kb

counts = st.integers(min_value=0, max_value=2**64 - 1)


def observe(host: Host, folder: Path) -> Observations:
    return build(read_bundle(host.write(folder)), load_kb())


def only(host: Host, folder: Path) -> Observation:
    (observation,) = observe(host, folder).observations
    return observation


def test_a_counter_that_rose_is_rising_with_its_share_of_what_was_offered(tmp_path: Path) -> None:
    symptom = only(Host([Device("vnet3", (100, 268), (900, 1400))]), tmp_path).symptom
    assert (symptom.counter, symptom.state) == ("tap.tx_dropped", "rising")
    assert (symptom.delta, symptom.total, symptom.seconds) == (168, 268, 10.0)
    assert symptom.ratio == pytest.approx(168 / 668)


def test_a_counter_that_stood_still_is_of_the_past_and_has_no_ratio(tmp_path: Path) -> None:
    symptom = only(Host([Device("vnet3", (268, 268), (900, 1400))]), tmp_path).symptom
    assert (symptom.state, symptom.delta, symptom.total, symptom.ratio) == ("past", 0, 268, None)


def test_a_counter_of_zero_is_no_observation(tmp_path: Path) -> None:
    assert observe(Host([Device("vnet3", (0, 0), (5, 9))]), tmp_path).observations == ()


def test_one_snapshot_says_nothing_about_now(tmp_path: Path) -> None:
    host = Host([Device("vnet3", (268,), (900,), ifindex=(7,))], snapshots=1)
    observation = only(host, tmp_path)
    assert observation.one_snapshot
    assert (observation.symptom.state, observation.symptom.delta, observation.symptom.total) == (
        "unknown",
        None,
        268,
    )


def test_where_the_packets_went_back_neither_drops_nor_their_share_are_known(tmp_path: Path) -> None:
    symptom = only(Host([Device("vnet3", (1, 5), (10, 2))]), tmp_path).symptom
    assert (symptom.state, symptom.delta, symptom.ratio) == ("unknown", None, None)


def test_a_counter_of_an_old_kernel_that_went_back_has_wrapped(tmp_path: Path) -> None:
    host = Host([Device("vnet3", (U32 - 10, 90), (900, 1400))], release="5.10.0-28-amd64")
    assert only(host, tmp_path).symptom.delta == 100


def test_a_counter_of_a_new_kernel_that_went_back_is_unknown(tmp_path: Path) -> None:
    symptom = only(Host([Device("vnet3", (U32 - 10, 90), (900, 1400))]), tmp_path).symptom
    assert (symptom.state, symptom.delta) == ("unknown", None)


def test_a_device_made_anew_is_unknown_even_where_counters_wrap(tmp_path: Path) -> None:
    host = Host([Device("vnet3", (U32 - 10, 90), ifindex=(7, 19))], release="5.10.0-28-amd64")
    observations = observe(host, tmp_path)
    assert observations.observations[0].symptom.delta is None
    assert [notice.subject for notice in observations.notices] == ["vnet3"]


def test_drops_while_the_collector_waited_for_one_are_counted(tmp_path: Path) -> None:
    device = Device("vnet3", (105, 105), (50, 90), series=[(40, 100), (50, 105), (90, 105)])
    host = Host([device], wait_for_drop={"max_s": 60, "waited_s": 1.0, "dropped": True}, samples_before=1)
    symptom = only(host, tmp_path).symptom
    # 10 s and 11 s at the most: when in the second before the next sample the first one was read is not known
    assert (symptom.state, symptom.delta, symptom.seconds) == ("rising", 5, 10.5)
    assert symptom.ratio == pytest.approx(5 / 55)


def test_the_rate_of_drops_that_were_waited_for_has_bounds(tmp_path: Path) -> None:
    """From the sample before the drop, read until the next one began, to the last snapshot."""
    device = Device("vnet3", (105, 105), (50, 90), series=[(40, 100), (50, 105), (90, 105)])
    waited = {"max_s": 60, "waited_s": 1.0, "dropped": True}
    symptom = only(Host([device], wait_for_drop=waited, samples_before=1), tmp_path).symptom
    assert symptom.rate is not None
    assert symptom.share is not None
    # the first sample lies a second before the first snapshot, and somewhere before the second sample
    assert 5 / 11.1 < symptom.rate.least < 5 / 11.0 < 5 / 10.0 < symptom.rate.most < 5 / 9.8
    assert symptom.share.least <= 5 / 55 <= symptom.share.most
    assert symptom.share.most < 2 * 5 / 55


def test_what_the_samples_of_a_wait_do_not_show_is_of_the_snapshots_alone(tmp_path: Path) -> None:
    """The sum that /proc/net/dev shows moved for two reasons: neither time nor share takes in the wait."""
    device = Device(
        "eth0",
        (0, 0),
        (50, 90),
        tun_flags=None,
        series=[(40, 0), (50, 0), (90, 0)],
        more={
            "statistics/rx_dropped": (5, 25),
            "statistics/rx_missed_errors": (1, 4),
            "statistics/rx_packets": (100, 200),
            "device": ("", ""),
        },
    )
    waited = {"max_s": 60, "waited_s": 1.0, "dropped": True}
    found = observe(Host([device], wait_for_drop=waited, samples_before=1), tmp_path).observations
    dropped = next(one.symptom for one in found if one.symptom.counter == "netdev.rx_dropped")
    assert (dropped.delta, dropped.seconds) == (20, 10.0)


def test_a_device_of_unknown_kind_is_told_as_such(tmp_path: Path) -> None:
    observations = observe(Host([Device("eth0", (0, 7), tun_flags=None), Device("vnet0")]), tmp_path)
    assert [o.symptom.counter for o in observations.observations] == ["netdev.tx_dropped"]
    assert observations.hosts[0].taps == 1


def test_other_tools_are_witnesses_of_the_same_number(tmp_path: Path) -> None:
    stats = "Domain: 'web01'\n  state.state=1\n  state.reason=1\n  net.count=1\n  net.0.name=vnet3\n"
    after = (
        "  net.0.rx.bytes=1\n  net.0.rx.pkts=9\n  net.0.rx.errs=0\n  net.0.rx.drop={}\n  net.0.tx.drop=0\n\n"
    )
    host = Host(
        [Device("vnet3", (100, 268), (900, 1400))],
        captures={
            "host/0/virsh-domstats": stats + after.format(100),
            "host/1/virsh-domstats": stats + after.format(268),
        },
    )
    observation = only(host, tmp_path)
    (libvirt,) = [w for w in observation.witnesses if w.name.startswith("virsh")]
    assert (libvirt.value, libvirt.agrees) == (168, True)
    assert observation.subject.vm == "web01"


def test_a_witness_that_cannot_be_explained_by_time_disagrees_with_a_notice(tmp_path: Path) -> None:
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|"
    head += "bytes packets errs drop fifo colls carrier compressed\n"
    line = "vnet3: 0 0 0 0 0 0 0 0 0 900 0 {} 0 0 0 0\n"
    host = Host(
        [Device("vnet3", (100, 268), (900, 1400))],
        captures={
            "host/0/proc-net-dev": head + line.format(100),
            "host/1/proc-net-dev": head + line.format(5268),
        },
    )
    observations = observe(host, tmp_path)
    (witness,) = [w for w in observations.observations[0].witnesses if w.name.startswith("/proc/net/dev")]
    assert (witness.value, witness.agrees) == (5168, False)
    assert any(notice.level == "warning" and notice.subject == "vnet3" for notice in observations.notices)


def test_a_capture_in_an_unknown_layout_is_unknown_with_a_notice(tmp_path: Path) -> None:
    host = Host([Device("vnet3", (100, 268), (900, 1400))], captures={"host/0/tun-fdinfo": "what is this\n"})
    observations = observe(host, tmp_path)
    assert observations.observations[0].facts.fact("tap.owner_count").value is None
    assert any("tun-fdinfo" in notice.subject for notice in observations.notices)


@given(before=counts, after=counts, u32=st.sampled_from([True, False, None]))
def test_a_difference_is_right_or_unknown(before: int, after: int, *, u32: bool | None) -> None:
    moved = difference(before, after, same_device=True, u32=u32)
    if after >= before:
        assert moved == after - before
    elif u32 and before < U32:
        assert moved == (after - before) % U32
    else:
        assert moved is None


@given(start=st.integers(0, U32 - 1), steps=st.lists(st.integers(0, U32 - 1), min_size=1, max_size=8))
def test_steps_over_wraps_add_up_to_what_was_counted(start: int, steps: list[int]) -> None:
    seen = [start]
    for step in steps:
        seen.append((seen[-1] + step) % U32)
    parts = [difference(a, b, same_device=True, u32=True) for a, b in pairwise(seen)]
    assert total(parts) == sum(steps)


@given(values=st.lists(st.none() | counts, max_size=6))
def test_a_total_with_an_unknown_part_is_unknown(values: list[int | None]) -> None:
    assert total(values) == (
        sum(v for v in values if v is not None) if values and None not in values else None
    )
