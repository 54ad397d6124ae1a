# SPDX-License-Identifier: Apache-2.0
"""What a trace adds: which device a freed packet belonged to, and why it was freed."""

from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import FactSource, build
from vnetkb.kb.load import load_kb

FREE = (
    "          <idle>-0 [{cpu:03d}] ..s.. {at:.6f}: kfree_skb: "
    "skbaddr={skb} rx_sk=0000000000000000 protocol=2048 location={place}{reason}\n"
)
XMIT = "          <idle>-0 [{cpu:03d}] ..s.. {at:.6f}: net_dev_xmit: dev={device} skbaddr={skb} len=60 rc=1\n"
SKB = "00000000{:08x}"


def drop(
    n: int, device: str, reason: str | None, *, place: str = "tun_net_xmit+0x2e2/0x4f0", cpu: int = 0
) -> str:
    at, skb = 1000.5 + n / 1000, SKB.format(n)
    why = f" reason: {reason}" if reason else ""
    return FREE.format(cpu=cpu, at=at, skb=skb, place=place, reason=why) + XMIT.format(
        cpu=cpu, at=at + 1e-5, device=device, skb=skb
    )


def facts(folder: Path, events: str, name: str = "vnet3") -> FactSource:
    devices = [Device(d, (0, 10), (0, 0), series=[(0, 0), (0, 5), (0, 10)]) for d in ("vnet3", "vnet4")]
    text = f"@ start 1000.10\n{events}@ stop 1001.90\n"
    host = Host(devices, captures={"series/trace": text})
    return build(read_bundle(host.write(folder)), load_kb()).subjects["tap", name]


def test_each_device_has_the_reasons_of_its_own_drops(tmp_path: Path) -> None:
    events = "".join(drop(n, "vnet3", "FULL_RING") + drop(100 + n, "vnet4", "TAP_TXFILTER") for n in range(4))
    one = facts(tmp_path, events, "vnet3")
    assert one.fact("trace.drops").value == 4
    assert one.fact("trace.full_ring_share").value == 100.0
    assert one.fact("trace.tx_filter_share").value == 0.0
    other = facts(tmp_path, events, "vnet4")
    assert other.fact("trace.full_ring_share").value == 0.0
    assert other.fact("trace.tx_filter_share").value == 100.0


def test_two_reasons_share_the_drops(tmp_path: Path) -> None:
    events = "".join(drop(n, "vnet3", "FULL_RING" if n < 3 else "SOCKET_FILTER") for n in range(4))
    source = facts(tmp_path, events)
    assert source.fact("trace.full_ring_share").value == 75.0
    assert source.fact("trace.socket_filter_share").value == 25.0


def test_a_free_on_another_cpu_or_of_another_packet_is_not_the_partner(tmp_path: Path) -> None:
    free = FREE.format(cpu=1, at=1000.5, skb=SKB.format(1), place="x+0x1/0x2", reason=" reason: FULL_RING")
    xmit = XMIT.format(cpu=0, at=1000.6, device="vnet3", skb=SKB.format(1))
    source = facts(tmp_path, free + xmit)
    assert source.fact("trace.drops").value == 1
    assert source.fact("trace.full_ring_share").value is None


def test_without_reasons_the_share_is_unknown_and_not_zero(tmp_path: Path) -> None:
    source = facts(tmp_path, drop(1, "vnet3", None))
    assert source.fact("trace.drops").value == 1
    assert source.fact("trace.full_ring_share").value is None


def test_without_a_drop_in_the_trace_the_share_is_unknown(tmp_path: Path) -> None:
    fact = facts(tmp_path, drop(1, "vnet4", "FULL_RING")).fact("trace.full_ring_share")
    assert fact.value is None
    assert fact.missing == ("trace",)


def test_drops_inside_the_driver_are_a_share_of_what_the_counter_rose_meanwhile(tmp_path: Path) -> None:
    events = "".join(drop(n, "vnet3", "FULL_RING") for n in range(9))
    # 1.8 of the 2 seconds that the series covers were traced, at 5 drops a second.
    assert facts(tmp_path, events).fact("trace.driver_share").value == pytest.approx(100.0)


def test_frees_of_the_core_are_counted_by_function(tmp_path: Path) -> None:
    place = "validate_xmit_skb.isra.0+0x1f/0x340"
    free = FREE.format(cpu=0, at=1000.5, skb=SKB.format(7), place=place, reason=" reason: NOT_SPECIFIED")
    assert facts(tmp_path, free).fact("trace.frees_in_validate").value == 1
    bare = FREE.format(cpu=0, at=1000.5, skb=SKB.format(7), place="0xffffffff9a1", reason="")
    assert facts(tmp_path, bare).fact("trace.frees_in_validate").value is None


def test_a_kernel_without_drop_reasons_is_not_asked_for_a_trace_of_them(tmp_path: Path) -> None:
    event = "/sys/kernel/tracing/events/skb/kfree_skb"
    features = f"{event}/format:name: kfree_skb\n{event}/format:\tfield:void * location;\toffset:16;\n"
    devices = [Device("vnet3", (0, 10), (0, 0))]
    for text, missing in ((features, ()), ("", ("trace",))):
        host = Host(devices, captures={"host/0/trace-features": text} if text else {})
        source = build(read_bundle(host.write(tmp_path)), load_kb()).subjects["tap", "vnet3"]
        fact = source.fact("trace.full_ring_share")
        assert (fact.value, fact.missing) == (None, missing)
