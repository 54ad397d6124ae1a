# SPDX-License-Identifier: Apache-2.0
"""Samples of the series, and the recording of freed packets."""

from collections.abc import Callable

import pytest

from vnetkb.parsers import proc_net_dev, series, trace, trace_features
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


def test_samples_keep_number_time_and_text(captured: Captured) -> None:
    samples = series.split(captured("linux-6.1/series/proc-net-dev"))
    assert [(sample.n, sample.monotonic_s) for sample in samples] == [(0, 15.37), (1, 16.62), (2, 17.55)]
    assert [proc_net_dev.parse(sample.data)["vnet0"].tx_dropped for sample in samples] == [84, 105, 125]


def test_samples_may_be_empty() -> None:
    assert [sample.data for sample in series.split(b"@ 0 1.00\n@ 1 2\nx\n")] == [b"", b"x\n"]
    assert series.split(b"") == []


@pytest.mark.parametrize(
    "text",
    [
        b"x\n@ 0 1.00\n",
        b"@ 0 1.00",
        b"@ one 1.00\n",
        b"@ 0 1.00\n@ 0 2.00\n",
        b"@ 0 2.00\n@ 1 1.00\n",
        b"@ 0 1.00\n@ x\n",
        b"@ 0 nan\n",
        b"@ 0 1e9\n",
    ],
)
def test_samples_out_of_order_or_without_a_mark_are_refused(text: bytes) -> None:
    with pytest.raises(ParseError):
        series.split(text)


def test_trace_without_drop_reasons(captured: Captured) -> None:
    found = trace.parse(captured("linux-5.10/trace"))
    assert (found.start_s, found.lost_events) == (40.67, 0)
    free, xmit = found.events[:2]
    assert isinstance(free, trace.FreeEvent)
    assert isinstance(xmit, trace.XmitEvent)
    assert (free.location, free.reason, free.protocol) == ("ffffffffc03adf1d", None, 34997)
    assert (xmit.device, xmit.rc, xmit.length) == ("vnet0", 1, 64)
    assert (free.cpu, free.skbaddr) == (xmit.cpu, xmit.skbaddr)


@pytest.mark.parametrize(
    ("folder", "location"),
    [
        ("linux-6.1", "00000000b3d16b68"),
        ("linux-6.12", "tun_net_xmit+0x2e1/0x500"),
        ("linux-6.18", "tun_net_xmit+0x2e2/0x4f0"),
    ],
)
def test_trace_with_drop_reasons(captured: Captured, folder: str, location: str) -> None:
    found = trace.parse(captured(f"{folder}/trace"))
    free = next(event for event in found.events if isinstance(event, trace.FreeEvent))
    assert (free.reason, free.location) == ("FULL_RING", location)
    assert found.start_s is not None
    assert found.stop_s is not None
    assert found.start_s < free.time_s < found.stop_s


def test_trace_counts_lost_events_and_passes_over_other_events() -> None:
    text = (
        b"@ start 1.00\n# entries-in-buffer/entries-written: 10/15   #P:2\n"
        b"CPU:1 [LOST 7 EVENTS]\nCPU:0 [LOST EVENTS]\n"
        b"  x-1 [000] d..1. 1.500000: sched_switch: anything\n"
    )
    found = trace.parse(text)
    assert (found.lost_events, found.events, found.stop_s) == (13, (), None)


def test_trace_survives_any_name_of_a_task() -> None:
    event = b"1.500000: net_dev_xmit: dev=vnet0 skbaddr=00000000b3d16b68 len=60 rc=1\n"
    for name in (b"a b-1 [001] x", b"-1 [9] 1.0: y:", b"<...>", b"\xff"):
        found = trace.parse(name + b"-77 (     77) [003] b.... " + event)
        assert [(one.cpu, one.time_s) for one in found.events] == [(3, 1.5)]


def test_trace_takes_fields_that_newer_kernels_add_to_a_transmission() -> None:
    words = b"net_dev_xmit: dev=vnet5 skbaddr=0000000034e0d5cc len=242 rc=1 net_cookie=7\n"
    text = b" send-1033 [001] b.s1. 239.419290: " + words
    (event,) = trace.parse(text).events
    assert isinstance(event, trace.XmitEvent)
    assert (event.device, event.rc) == ("vnet5", 1)


def test_trace_takes_subsystem_reasons_in_hex() -> None:
    text = (
        b" x-1 [000] ..... 1.0: kfree_skb: skbaddr=0x1f protocol=0 location=f+0x1/0x2 [ovs] reason: 0x30001\n"
    )
    (event,) = trace.parse(text).events
    assert isinstance(event, trace.FreeEvent)
    assert (event.skbaddr, event.reason) == (0x1F, "0x30001")


@pytest.mark.parametrize(
    "text",
    [
        b"something else\n",
        b" x-1 [000] .... 1.0: kfree_skb: skbaddr=zz\n",
        b" x-1 [000] .... 1.0: net_dev_xmit: dev=a\n",
    ],
)
def test_trace_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError, match="line 1"):
        trace.parse(text)


def test_features_tell_whether_reasons_exist(captured: Captured) -> None:
    old = trace_features.parse(captured("linux-5.10/trace-features"))
    new = trace_features.parse(captured("linux-6.1/trace-features"))
    assert (old.mounted, old.kfree_skb, old.kfree_skb_reason, old.net_dev_xmit) == (True, True, False, True)
    assert old.reasons == {}
    assert new.kfree_skb_reason
    assert not new.qdisc_drop
    numbers = {name: number for number, name in new.reasons.items()}
    assert {"FULL_RING", "TAP_FILTER", "TAP_TXFILTER", "SOCKET_FILTER"} <= set(numbers)
    # the numbers differ between kernels, so only names mean something
    newest = trace_features.parse(captured("linux-6.12/trace-features"))
    assert newest.reasons[numbers["FULL_RING"]] != "FULL_RING"


def test_features_with_reasons_in_hex_and_with_zeros_before_them() -> None:
    line = b'/t/events/skb/kfree_skb/format:print fmt: { 0x2, "A" }, { 09, "B" }\n'
    assert trace_features.parse(line).reasons == {2: "A", 9: "B"}


def test_features_of_a_host_without_tracefs() -> None:
    assert not trace_features.parse(b"").mounted
    assert trace_features.parse(b"/sys/kernel/tracing/trace_clock:[local] boot\n").mounted
