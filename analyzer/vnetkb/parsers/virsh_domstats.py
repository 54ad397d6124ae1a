# SPDX-License-Identifier: Apache-2.0
"""`virsh domstats --state --vcpu --interface`: a block of ``key=value`` lines for each domain.

The keys are those of virConnectGetAllDomainStats (libvirt's src/libvirt-domain.c). For a tap, libvirt reports
the guest's view: its ``rx`` is the host's transmit side (`virNetDevTapInterfaceStats`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER = re.compile(r"Domain: '(.*)'")
_INDEXED = re.compile(r"(net|vcpu)\.([0-9]{1,6})\.(.+)")


@dataclass(frozen=True, slots=True)
class DomInterface:
    """One interface of a running domain; None where libvirt does not say. Counted as libvirt prints them.

    Attributes:
        index: Number of the interface in the domain.
        name: Device on the host, ``vnet3``.
        rx_drop: For a tap the host's tx_dropped.
        tx_drop: For a tap the host's rx_dropped.
    """

    index: int
    name: str | None = None
    rx_bytes: int | None = None
    rx_packets: int | None = None
    rx_errors: int | None = None
    rx_drop: int | None = None
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    tx_drop: int | None = None


@dataclass(frozen=True, slots=True)
class DomVcpu:
    """One virtual CPU; None where libvirt does not say.

    Attributes:
        index: Number of the virtual CPU.
        state: virVcpuState: 0 offline, 1 running, 2 blocked.
        time_ns: CPU time used, nanoseconds.
        wait_ns: Time waiting for a CPU, nanoseconds.
        delay_ns: Time runnable and not running, nanoseconds.
        halted: Whether the guest halted it.
    """

    index: int
    state: int | None = None
    time_ns: int | None = None
    wait_ns: int | None = None
    delay_ns: int | None = None
    halted: bool | None = None


@dataclass(frozen=True, slots=True)
class DomStats:
    """One domain.

    Attributes:
        name: Name of the domain.
        state: virDomainState: 1 running, 2 blocked, 3 paused, 4 in shutdown, 5 shut off, 6 crashed,
            7 suspended.
        reason: Why it is in that state; what the number means depends on the state.
        vcpu_current: Virtual CPUs in use.
        vcpu_maximum: Virtual CPUs at most.
        values: Every key as printed.
    """

    name: str
    state: int | None
    reason: int | None
    vcpu_current: int | None
    vcpu_maximum: int | None
    vcpus: tuple[DomVcpu, ...]
    interfaces: tuple[DomInterface, ...]
    values: Mapping[str, str]


_NET = {
    f"{way}.{key}": f"{way}_{field}"
    for way in ("rx", "tx")
    for key, field in (("bytes", "bytes"), ("pkts", "packets"), ("errs", "errors"), ("drop", "drop"))
}
_VCPU = {"state": "state", "time": "time_ns", "wait": "wait_ns", "delay": "delay_ns"}


def parse(data: bytes) -> dict[str, DomStats]:
    """Return the domains by name.

    Raises:
        ParseError: A line is neither ``Domain: 'name'`` nor ``key=value``, a known number is none, or a name
            comes twice.
    """
    domains: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, line in lines(data):
        match = _HEADER.fullmatch(line.rstrip())
        if match is not None:
            if match[1] in domains:
                raise ParseError(line, "each domain once", number)
            current = domains[match[1]] = {}
            continue
        if not line.strip():
            continue
        key, equals, value = line.strip(" \t").partition("=")
        if current is None or not equals:
            raise ParseError(line, "Domain: 'NAME' and then KEY=VALUE", number)
        current[key] = value
    return {name: _domain(name, values) for name, values in domains.items()}


def _domain(name: str, values: dict[str, str]) -> DomStats:
    def number(key: str) -> int | None:
        return integer(values[key], key) if key in values else None

    nets: dict[int, dict[str, Any]] = {}
    vcpus: dict[int, dict[str, Any]] = {}
    for key, value in values.items():
        match = _INDEXED.fullmatch(key)
        if match is None:
            continue
        index, leaf = int(match[2]), match[3]
        if match[1] == "net":
            net = nets.setdefault(index, {})
            if leaf == "name":
                net["name"] = value
            elif leaf in _NET:
                net[_NET[leaf]] = integer(value, key)
        else:
            vcpu = vcpus.setdefault(index, {})
            if leaf in _VCPU:
                vcpu[_VCPU[leaf]] = integer(value, key)
            elif leaf == "halted":
                vcpu["halted"] = value == "yes"
    return DomStats(
        name=name,
        state=number("state.state"),
        reason=number("state.reason"),
        vcpu_current=number("vcpu.current"),
        vcpu_maximum=number("vcpu.maximum"),
        vcpus=tuple(DomVcpu(index, **vcpus[index]) for index in sorted(vcpus)),
        interfaces=tuple(DomInterface(index, **nets[index]) for index in sorted(nets)),
        values=values,
    )
