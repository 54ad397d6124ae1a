# SPDX-License-Identifier: Apache-2.0
"""Settings that remedies change: what each is at present, where the bundle shows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vnetkb.facts.device import DeviceFacts, provides
from vnetkb.facts.model import Fact
from vnetkb.facts.tap import TapFacts
from vnetkb.facts.tap import provides as of_tap
from vnetkb.facts.tap_guest import guest_of
from vnetkb.facts.tap_reader import is_above
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.guests import Guest
    from vnetkb.facts.model import Value
    from vnetkb.facts.topology import Topology

RATE = re.compile(r"\brate (\S+)")
CEIL = re.compile(r"\bceil (\S+)")
OFFLOADS = ("tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload")
CENTISECONDS = 100
SYSCTL, GUEST_SYSCTL = "sysctl-net", "guest-sysctl-net"


def _fact(device: DeviceFacts, name: str, capture: str, value: Value | None, path: str) -> Fact:
    if value is None:
        return Fact(name, missing=(capture,), why_unknown=device.why(capture))
    return Fact(name, value, captures=(path,))


def _once(name: str, capture: str) -> Callable[[Callable[[DeviceFacts, Any], Value | None]], None]:
    """Register a fact of a device that a capture taken once tells; it is given the capture's rows."""

    def register(tell: Callable[[DeviceFacts, Any], Value | None]) -> None:
        @provides(name)
        def fact(device: DeviceFacts) -> Fact:
            rows = device.tables.once(capture)
            value = None if rows is None else tell(device, rows)
            return _fact(device, name, capture, value, device.tables.once_path(capture))

    return register


@_once("setting.offloads_off", "ethtool-k")
def _offloads_off(device: DeviceFacts, rows: Any) -> Value | None:  # noqa: ANN401 - the parser's rows
    features = rows.get(device.name)
    return None if features is None else frozenset(one for one in OFFLOADS if features.get(one) is False)


@_once("setting.channels", "ethtool-l")
def _channels(device: DeviceFacts, rows: Any) -> Value | None:  # noqa: ANN401 - the parser's rows
    row = rows.get(device.name)
    now: int | None = None if row is None else row.current.combined or row.current.rx
    return now


@_once("setting.channels_most", "ethtool-l")
def _channels_most(device: DeviceFacts, rows: Any) -> Value | None:  # noqa: ANN401 - the parser's rows
    row = rows.get(device.name)
    most: int | None = None if row is None else row.maximum.combined or row.maximum.rx
    return most


@_once("setting.burst_limit", SYSCTL)
def _burst_limit(_device: DeviceFacts, rows: Any) -> Value | None:  # noqa: ANN401 - the parser's rows
    text = rows.get("net.core.qdisc_max_burst", "")
    return int(text) if text.isdigit() else None


def _bridge_info(topology: Topology, port: str, name: str, key: str, read: Callable[[int], Value]) -> Fact:
    """A setting of the Linux bridge that a device is, or is a port of: IFLA_BR_*, br_netlink.c."""
    for n in reversed(topology.tables.snapshots):
        links = topology.links(n)
        bridge = port if topology.other_devices.get(port) == "bridge" else topology.port_of(port)
        link = links.get(bridge) if bridge else None
        value = link.info.get(key) if link is not None and link.kind == "bridge" else None
        if isinstance(value, int):
            return Fact(name, read(value), captures=(topology.links_path(n),))
    return Fact(name, missing=("ip-link",), why_unknown=tr("no Linux bridge is known that it is a port of"))


BRIDGE_SETTINGS: dict[str, tuple[str, Callable[[int], Value]]] = {
    "setting.ageing_time": ("ageing_time", lambda value: value / CENTISECONDS),
    "setting.mcast_snooping": ("mcast_snooping", bool),
}


def of_bridge(topology: Topology, port: str, name: str) -> Fact:
    """Return a setting of the Linux bridge that a device is a port of, or is."""
    return _bridge_info(topology, port, name, *BRIDGE_SETTINGS[name])


for _name in BRIDGE_SETTINGS:

    def _of_its_bridge(device: DeviceFacts, name: str = _name) -> Fact:
        return of_bridge(device.topology, device.name, name)

    provides(_name)(_of_its_bridge)


@provides("setting.shaped_rate")
def _shaped_rate(device: DeviceFacts) -> Fact:
    """The rate of a device's shaper, as tc writes it: of the class that dropped most, or of the root."""
    name = "setting.shaped_rate"
    n = device.tables.snapshots[-1] if device.tables.snapshots else None
    classes = [row for row in device.tables.get("tc-class", n) or () if row.dev == device.name]
    worst = max(classes, key=lambda row: row.drops or 0, default=None)
    text = worst.options_text if worst is not None else ""
    capture = "tc-class"
    if not text:
        root = next((row for row in device.topology.qdiscs(device.name, n or 0) if row.root), None)
        rate = root.options.get("rate") if root is not None else None
        text = f"rate {8 * rate / 1000:g}Kbit" if isinstance(rate, int) else ""
        capture = "tc-qdisc"
    rate, most = RATE.search(text), CEIL.search(text)
    if rate is None:
        return Fact(name, missing=("tc-class",), why_unknown=device.why("tc-class"))
    value = (
        rate[1] if most is None or most[1] == rate[1] else tr("{rate} to {most}", rate=rate[1], most=most[1])
    )
    return Fact(name, value, captures=device.tables.paths(capture)[-1:])


@provides("setting.police_rate")
def _police_rate(device: DeviceFacts) -> Fact:
    """The rate of the policer of a device that dropped most, as tc writes it."""
    name, capture = "setting.police_rate", "tc-filter"
    n = device.tables.snapshots[-1] if device.tables.snapshots else None
    found = [
        (action.drops or 0, rate[1])
        for row in device.tables.get(capture, n) or ()
        if row.dev == device.name
        for action in row.actions
        if action.kind == "police" and (rate := RATE.search(action.text)) is not None
    ]
    return _fact(device, name, capture, max(found)[1] if found else None, device.tables.path(capture, n))


def _smallest_mtu(device: DeviceFacts) -> list[tuple[int, str]]:
    """MTU and name of each port of a Linux bridge in the last snapshot, the smallest first."""
    for n in reversed(device.tables.snapshots):
        rows = [row for row in device.tables.get("bridge-link", n) or () if row.master == device.name]
        if rows:
            return sorted((row.mtu, row.ifname) for row in rows if row.mtu is not None)
    return []


def _of_ports(name: str, pick: Callable[[Sequence[tuple[int, str]]], Value]) -> None:
    @provides(name)
    def fact(device: DeviceFacts) -> Fact:
        ports = _smallest_mtu(device)
        value = pick(ports) if ports else None
        paths = device.tables.paths("bridge-link")
        return _fact(device, name, "bridge-link", value, paths[-1] if paths else "")


_of_ports("bridge.small_port", lambda ports: ports[0][1])
_of_ports("bridge.small_mtu", lambda ports: ports[0][0])
_of_ports("bridge.large_mtu", lambda ports: ports[-1][0])


@provides("setting.policing_burst")
def _policing_burst(device: DeviceFacts) -> Fact:
    row = device.topology.switch.interfaces.get(device.name) or {}
    value = row.get("ingress_policing_burst")
    path = device.tables.paths("ovs-interface")[-1:]
    known = value if isinstance(value, int) and path else None
    return _fact(device, "setting.policing_burst", "ovs-interface", known, path[0] if path else "")


@provides("ovs.longest_refused")
def _longest_refused(device: DeviceFacts) -> Fact:
    """The longest packet over the port's MTU that the kernel log tells of, without its Ethernet header."""
    name = "ovs.longest_refused"
    begin = f"{device.name}: dropped over-mtu packet: "
    said = [text.partition(begin)[2].partition(" ")[0] for _, text in device.topology.switch.over_mtu]
    known = [int(length) for length in said if length.isdigit()]
    path = device.tables.once_path("kernel-log")
    return _fact(device, name, "kernel-log", max(known, default=None), path)


def _cpus(tap: TapFacts, name: str, threads: Sequence[int]) -> Fact:
    cpus = tap.topology.cpus(tuple(threads)) if threads else None
    paths = tap.tables.paths("proc-status")
    return _fact(tap, name, "proc-status", cpus, paths[-1] if paths else "")


@of_tap("setting.reader_cpus")
def _reader_cpus(tap: TapFacts) -> Fact:
    return _cpus(tap, "setting.reader_cpus", tap.topology.reader(tap.name).threads)


@of_tap("setting.vcpu_cpus")
def _vcpu_cpus(tap: TapFacts) -> Fact:
    return _cpus(tap, "setting.vcpu_cpus", tap.topology.vcpu_threads(tap.name) or ())


@of_tap("setting.vcpus")
def _vcpus(tap: TapFacts) -> Fact:
    count = len(tap.topology.vcpu_threads(tap.name) or ()) or None
    paths = tap.tables.paths("proc-status")
    return _fact(tap, "setting.vcpus", "proc-status", count, paths[-1] if paths else "")


@of_tap("setting.cpu_quota")
def _cpu_quota(tap: TapFacts) -> Fact:
    """The tightest CPU bandwidth limit above the VM's threads, in per cent of one CPU."""
    name, capture = "setting.cpu_quota", "cgroup-cpu"
    n = tap.tables.snapshots[-1] if tap.tables.snapshots else None
    tasks = tap.tables.get("task-cgroup", n) or {}
    threads = (*tap.topology.reader(tap.name).threads, *(tap.topology.vcpu_threads(tap.name) or ()))
    places = {path for tid in threads for path in tasks.get(tid, {}).values()}
    limits = [
        100.0 * row.quota_us / row.period_us
        for group, row in (tap.tables.get(capture, n) or {}).items()
        if row.quota_us and row.period_us and any(is_above(group, path) for path in places)
    ]
    return _fact(tap, name, capture, min(limits, default=None), tap.tables.path(capture, n))


def _guest_number(guest: Guest, name: str, key: str) -> Fact:
    text = (guest.first(GUEST_SYSCTL) or {}).get(key, "")
    if not text.isdigit():
        return Fact(name, missing=(GUEST_SYSCTL,), why_unknown=guest.why(GUEST_SYSCTL))
    return Fact(name, int(text), captures=guest.paths(GUEST_SYSCTL)[:1])


GUEST_SETTINGS = {
    "setting.guest_rmem_max": "net.core.rmem_max",
    "setting.guest_backlog": "net.core.netdev_max_backlog",
}


def of_guest(guest: Guest, name: str, tap: str | None) -> Fact | None:
    """Return a setting of a guest, or of the bridge that its port is on; None for another fact."""
    if name in GUEST_SETTINGS:
        return _guest_number(guest, name, GUEST_SETTINGS[name])
    if name in BRIDGE_SETTINGS and tap is not None:
        return of_bridge(guest.topology, tap, name)
    return None


for _name in GUEST_SETTINGS:

    def _of_its_guest(tap: TapFacts, name: str = _name) -> Fact:
        guest = guest_of(tap.topology, tap.name)
        if guest is None:
            return Fact(name, missing=(GUEST_SYSCTL,), why_unknown=tr("the guest was not asked"))
        return _guest_number(guest, name, GUEST_SETTINGS[name])

    of_tap(_name)(_of_its_guest)


@of_tap("setting.guest_mtu")
def _guest_mtu(tap: TapFacts) -> Fact:
    """MTU of the guest's NIC behind the tap (`/sys/class/net/NIC/mtu` inside)."""
    name, capture = "setting.guest_mtu", "guest-sysfs-net"
    guest = guest_of(tap.topology, tap.name)
    nic = guest.nic_of(tap.name) if guest is not None else None
    if guest is None or nic is None:
        return Fact(name, missing=(capture,), why_unknown=tr("the guest was not asked"))
    known = [int(text) for text in guest.attribute(nic, "mtu") if text and text.isdigit()]
    if not known:
        return Fact(name, missing=(capture,), why_unknown=guest.why(capture))
    return Fact(name, known[-1], captures=guest.paths(capture)[-1:])


@of_tap("setting.queues")
def _queues(tap: TapFacts) -> Fact:
    fact = tap.fact("tap.queue_count")
    return fact._replace(name="setting.queues")
