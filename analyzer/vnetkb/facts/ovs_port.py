# SPDX-License-Identifier: Apache-2.0
"""Facts of a device that is a port of an Open vSwitch bridge; of any other they are unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts import ovs_twice
from vnetkb.facts.device import provides
from vnetkb.facts.model import Fact
from vnetkb.facts.vlans import carried
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Value

TABLES = ("ovs-interface", "ovs-port", "ovs-bridge")


def _of_port(
    name: str, captures: tuple[str, ...], read: Callable[[DeviceFacts], Value | None]
) -> Callable[[DeviceFacts], Fact]:
    """Register a fact that is known of ports of Open vSwitch only."""

    def compute(device: DeviceFacts) -> Fact:
        switch = device.topology.switch
        if device.name not in switch.interfaces:
            missing = switch.joining_unread(device.name)
            why = tr("it is no port of Open vSwitch, as far as the bundle shows")
            return Fact(name, missing=missing, why_unknown=device.why(missing[0]) if missing else why)
        value = read(device)
        paths = tuple(path for capture in captures for path in device.tables.paths(capture))
        if value is None:
            return Fact(name, missing=captures, why_unknown=device.why(captures[-1]))
        return Fact(name, value, captures=paths)

    provides(name)(compute)
    return compute


def _type(device: DeviceFacts) -> str | None:
    row = device.topology.switch.interfaces[device.name]
    return (str(row["type"] or "") or "system") if "type" in row else None


def _number(key: str) -> Callable[[DeviceFacts], int | None]:
    def read(device: DeviceFacts) -> int | None:
        value = device.topology.switch.interfaces[device.name].get(key)
        return value if isinstance(value, int) else None

    return read


def _has_qos(device: DeviceFacts) -> bool | None:
    port = device.topology.switch.port(device.name)
    return None if port is None or "qos" not in port else port["qos"] != []


def _is_mirror_output(device: DeviceFacts) -> bool | None:
    switch = device.topology.switch
    if any(device.name in mirror.outputs for mirror in switch.mirrors):
        return True
    return None if switch.unread(device.name, "mirrors") else False


@provides("ovs.mirrors_unread")
def _mirrors_unread(device: DeviceFacts) -> Fact:
    """Known of any device: one whose bridge is not known may be a mirror's output as well."""
    name, switch = "ovs.mirrors_unread", device.topology.switch
    missing = switch.unread(device.name, "mirrors")
    if not missing and device.name not in switch.interfaces:
        return Fact(name, why_unknown=tr("it is no port of Open vSwitch, as far as the bundle shows"))
    paths = tuple(path for capture in TABLES for path in device.tables.paths(capture))
    return Fact(name, bool(missing), captures=paths)


def _gets_mirrored_vlan(device: DeviceFacts) -> bool | None:
    switch = device.topology.switch
    if switch.unread(device.name, "mirrors"):
        return None
    bridge, own = switch.bridge_of.get(device.name), carried(switch.port(device.name))
    vlans = {m.output_vlan for m in switch.mirrors if m.bridge == bridge and m.output_vlan is not None}
    if vlans and own is None:
        return None
    return own is not None and bool(vlans & own.vlans)


def _copies(device: DeviceFacts) -> int | None:
    sent = [m.copies for m in device.topology.switch.mirrors if device.name in m.outputs]
    known = [value for value in sent if value is not None]
    return sum(known) if known and len(known) == len(sent) else None


_of_port("ovs.port_type", ("ovs-interface",), _type)
_of_port("ovs.datapath_type", TABLES, lambda device: device.topology.switch.datapath_type(device.name))
_of_port("ovs.policing_rate", ("ovs-interface",), _number("ingress_policing_rate"))
_of_port("ovs.policing_packets", ("ovs-interface",), _number("ingress_policing_kpkts_rate"))
_of_port("ovs.has_qos", ("ovs-interface", "ovs-port"), _has_qos)
_of_port("ovs.is_mirror_output", (*TABLES, "ovs-mirror"), _is_mirror_output)
_of_port("ovs.gets_mirrored_vlan", (*TABLES, "ovs-mirror"), _gets_mirrored_vlan)
_of_port("ovs.tx_errors", ("sysfs-net",), lambda device: device.between_snapshots("tx_errors"))
_of_port("ovs.mirror_copies", ("ovs-mirror",), _copies)


@provides("ovs.sent_by_flows")
def _sent_by_flows(device: DeviceFacts) -> Fact:
    name, capture = "ovs.sent_by_flows", "ovs-datapath-flows"
    moved = device.topology.switch.sent_by_flows(device.name)
    if moved is None and device.topology.switch.flows_are_cut:
        why = tr(
            "the collector cut the datapath's flows at its limit, so what the rest of them did is not known"
        )
        return Fact(name, missing=(capture,), why_unknown=why)
    if moved is None:
        snapshots = device.tables.snapshots
        if all(device.tables.get(capture, n) is not None for n in snapshots) and len(snapshots) > 1:
            why = tr("the flows name a port by a number that nothing in the bundle explains")
            return Fact(name, missing=("ovs-datapath",), why_unknown=why)
        return Fact(name, missing=(capture,), why_unknown=device.why(capture))
    return Fact(name, moved, captures=device.tables.paths(capture))


@provides("ovs.losses_shown")
def _losses_shown(device: DeviceFacts) -> Fact:
    name, found = "ovs.losses_shown", ovs_twice.shown(device)
    if found is None:
        return Fact(name, why_unknown=tr("Open vSwitch shows no drop and no error of it"))
    return Fact(name, found.how, captures=found.captures)


@provides("ovs.losses_numbers")
def _losses_numbers(device: DeviceFacts) -> Fact:
    name, found = "ovs.losses_numbers", ovs_twice.shown(device)
    if found is None:
        return Fact(name, why_unknown=tr("Open vSwitch shows no drop and no error of it"))
    said = tr(
        "{tool} shows {value}, the device itself {own}",
        tool=f"{found.tool}{found.field}",
        value=found.value,
        own=found.own,
    )
    return Fact(name, said, captures=found.captures)


@provides("log.over_mtu")
def _over_mtu(device: DeviceFacts) -> Fact:
    if device.tables.once("kernel-log") is None:
        why = device.tables.why("kernel-log", device.tables.first)
        return Fact("log.over_mtu", missing=("kernel-log",), why_unknown=why)
    found = sum(1 for _, text in device.topology.switch.over_mtu if text_of(device.name) in text)
    return Fact("log.over_mtu", found, captures=(device.tables.once_path("kernel-log"),))


def text_of(name: str) -> str:
    """Return what the kernel's line about a packet over the MTU of a port begins with."""
    return f"{name}: dropped over-mtu packet:"
