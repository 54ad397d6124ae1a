# SPDX-License-Identifier: Apache-2.0
"""What vnetkb-guest.ps1 reads from .NET and WMI: one JSON object, English names on every Windows.

The NetKVM driver's classes are brought to one form: NetKvm_Diag and NetKvm_Config of drivers from 2024 on,
NetKvm_Statistics and NetKvm_RssDiagnostics of older ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents, mapping_of, optional_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHAT = "the counters of Windows"
_DIGITS = re.compile(r"[0-9]{1,20}")
_MAC = re.compile(r"[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class WindowsInterface:
    """One interface as .NET shows it.

    Attributes:
        name: Name that a person gave it, or Windows in its language.
        description: The driver's description, in English for NetKVM.
        mac: MAC address with colons, in small letters; None where it has none.
        status: Up, Down and so on.
        statistics: IPv4InterfaceStatistics by property name; from MIB_IF_ROW2, so not of IPv4 alone.
        id: Its GUID in braces, the NetCfgInstanceId of the registry; empty where it is not told.
    """

    name: str
    description: str
    mac: str | None
    status: str | None
    statistics: Mapping[str, int] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class NetKvm:
    """Counters and state of one NIC that the NetKVM driver serves; None where this driver does not tell.

    Attributes:
        instance: WMI's name of the instance.
        rx_min_free: Fewest receive buffers the driver held since it was loaded; 16 can be its beginning.
        rx_low_resources: Packets that Windows had to copy at once because buffers were short.
        tx_min_free: Fewest free transmit descriptors.
        tx_dropped: Packets the driver threw away while sending.
        lazy_alloc_ms: When all receive buffers were there, ms after the start; -1 while they are not.
        queues: Pairs of queues in use.
    """

    instance: str
    rx_min_free: int | None = None
    rx_low_resources: int | None = None
    tx_min_free: int | None = None
    tx_dropped: int | None = None
    lazy_alloc_ms: int | None = None
    queues: int | None = None


@dataclass(frozen=True, slots=True)
class WindowsCounters:
    """Everything in one sample.

    Attributes:
        interfaces: Interfaces in .NET's order.
        protocols: Values by protocol and property: ``protocols["UdpIPv4"]["DatagramsReceived"]``.
        adapters: MSFT_NetAdapterStatisticsSettingData by the adapter's name: uint64 counters by property.
        netkvm: NICs of the NetKVM driver.
        missing: Why a class is not there, by class.
    """

    interfaces: tuple[WindowsInterface, ...]
    protocols: Mapping[str, Mapping[str, int]]
    adapters: Mapping[str, Mapping[str, int]]
    netkvm: tuple[NetKvm, ...]
    missing: Mapping[str, str]


def parse(data: bytes) -> WindowsCounters:
    """Return the counters.

    Raises:
        ParseError: It is not the JSON object that the collector writes.
    """
    found = documents(data)
    if len(found) != 1 or not isinstance(found[0], dict) or "Classes" not in found[0]:
        raise ParseError(data, "one object with Interfaces, Protocols and Classes")
    whole: dict[str, Any] = found[0]
    classes = mapping_of(whole, "Classes", _WHAT)
    protocols = mapping_of(whole, "Protocols", _WHAT)
    missing = mapping_of(whole, "Missing", _WHAT)
    return WindowsCounters(
        interfaces=tuple(_interface(row) for row in _rows(whole, "Interfaces")),
        protocols={name: _numbers(mapping_of(protocols, name, _WHAT)) for name in protocols},
        adapters={
            str(row.get("Name", row.get("InstanceID", number))): _numbers(row)
            for number, row in enumerate(_rows(classes, "MSFT_NetAdapterStatisticsSettingData"))
        },
        netkvm=_netkvm(classes),
        missing={name: str(why) for name, why in missing.items()},
    )


def _rows(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = parent.get(key)
    if value is None:
        return []
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise ParseError(value, f"an array of objects as {key}")
    return rows


def _numbers(row: dict[str, Any]) -> dict[str, int]:
    # WMI hands 64-bit numbers over as text in some versions of PowerShell
    found: dict[str, int] = {}
    for key, value in row.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            found[key] = value
        elif isinstance(value, str) and _DIGITS.fullmatch(value):
            found[key] = int(value)
    return found


def _interface(row: dict[str, Any]) -> WindowsInterface:
    mac = optional_text(row, "Mac", _WHAT) or ""
    return WindowsInterface(
        name=optional_text(row, "Name", _WHAT) or "",
        description=optional_text(row, "Description", _WHAT) or "",
        mac=":".join(re.findall("..", mac)).lower() if _MAC.fullmatch(mac) else None,
        status=optional_text(row, "Status", _WHAT),
        statistics=_numbers(mapping_of(row, "IPv4Statistics", _WHAT)),
        id=optional_text(row, "Id", _WHAT) or "",
    )


def _netkvm(classes: dict[str, Any]) -> tuple[NetKvm, ...]:
    found: dict[str, dict[str, int | None]] = {}
    for row in _rows(classes, "NetKvm_Diag"):
        rx, tx = _part(row, "rx"), _part(row, "tx")
        found.setdefault(_instance(row), {}).update(
            rx_min_free=rx.get("MinFreeBuffers"),
            rx_low_resources=rx.get("LowResources"),
            tx_min_free=tx.get("MinFreeBuffers"),
            tx_dropped=tx.get("Dropped"),
        )
    for row in _rows(classes, "NetKvm_Statistics"):
        numbers = _numbers(row)
        found.setdefault(_instance(row), {}).update(
            tx_min_free=numbers.get("txMinFreeBuffers"), tx_dropped=numbers.get("txDropped")
        )
    for row in _rows(classes, "NetKvm_Config"):
        numbers = _numbers(row)
        lazy = numbers.get("LazyAllocTimeMs")
        found.setdefault(_instance(row), {}).update(
            # a signed -1 that WMI shows as a uint32
            lazy_alloc_ms=-1 if lazy == 2**32 - 1 else lazy,
            queues=numbers.get("NumOfQueues"),
        )
    return tuple(NetKvm(instance, **values) for instance, values in found.items())


def _part(row: dict[str, Any], name: str) -> dict[str, int]:
    """Return the embedded object `tx` or `rx`, in whichever case WMI writes it."""
    for key in (name, name.capitalize(), name.upper()):
        if isinstance(row.get(key), dict):
            return _numbers(row[key])
    return {}


def _instance(row: dict[str, Any]) -> str:
    return str(row.get("InstanceName", ""))
