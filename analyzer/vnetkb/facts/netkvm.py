# SPDX-License-Identifier: Apache-2.0
"""Which of the NetKVM driver's settings and counters are those of one NIC of a Windows guest.

The registry keeps a row for each NIC that there ever was, named by the GUID that .NET calls the interface's
Id (NetCfgInstanceId). Instances of the driver's WMI classes are named by the interface's description or by
its place on the bus, which nothing else in a bundle tells. What cannot be joined is known where all agree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from vnetkb.facts.guests import WINDOWS_NIC
from vnetkb.language import mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.guests import Guest
    from vnetkb.parsers.win_counters import NetKvm, WindowsCounters, WindowsInterface

REGISTRY = "win-nic-registry"
_Value = TypeVar("_Value", int, str)
DESCRIBED = "VirtIO"
# LazyAllocTimeMs while buffers are still being made.
NOT_YET = -1
_BUILD = re.compile(r"(?:[0-9]+\.){3}([0-9]{1,9})")
NOT_TOLD_APART = mark("which of the guest's NetKVM adapters has it is not told, and they differ")
ANOTHER_DRIVER = mark("the guest's NIC is served by another driver than NetKVM")


def interface(guest: Guest, nic: str) -> WindowsInterface | None:
    """Return what .NET says of a NIC in the first sample that shows it."""
    every = (one for counters in guest.each(WINDOWS_NIC) if counters for one in counters.interfaces)
    return next((one for one in every if one.name == nic), None)


def is_netkvm(guest: Guest, nic: str) -> bool | None:
    """Return whether NetKVM serves a NIC, by its description; None where that is not told."""
    one = interface(guest, nic)
    return DESCRIBED in one.description if one is not None and one.description else None


def setting(guest: Guest, nic: str, key: str) -> str | None:
    """Return a value that the registry has for a NIC; None where it has none, or those of several differ."""
    if is_netkvm(guest, nic) is False:
        return None
    rows = [row for row in guest.first(REGISTRY) or () if DESCRIBED in row.get("DriverDesc", "")]
    one = interface(guest, nic)
    if one is not None and one.id:
        mine = [row for row in rows if row.get("NetCfgInstanceId", "").lower() == one.id.lower()]
        # a row of another GUID is another NIC's, perhaps of one that is gone
        rows = mine or [row for row in rows if not row.get("NetCfgInstanceId")]
    return _agreed([row.get(key) for row in rows])


def build(guest: Guest, nic: str) -> int | None:
    """Return the build of the driver that serves a NIC, the last number of its DriverVersion."""
    match = _BUILD.fullmatch(setting(guest, nic, "DriverVersion") or "")
    return int(match[1]) if match else None


def min_free(guest: Guest, nic: str) -> int | None:
    """Return the fewest receive buffers that the driver held of a NIC's; None where that is not known."""
    samples = _sampled(guest, nic, lambda row: row.rx_min_free)
    return min((value for value in samples if value is not None), default=None)


def still_filling(guest: Guest, nic: str) -> bool | None:
    """Return whether the driver had not yet made all of a NIC's receive buffers in any sample (FastInit).

    None where that is not known; a driver that made them all at once does not tell it.
    """
    samples = _sampled(guest, nic, lambda row: row.lazy_alloc_ms)
    known = [value == NOT_YET for value in samples if value is not None]
    return all(known) if known and len(known) == len(samples) else None


def _sampled(guest: Guest, nic: str, number: Callable[[NetKvm], int | None]) -> list[int | None]:
    """Return a number of a NIC's driver in each sample taken; nothing for another driver's NIC."""
    if is_netkvm(guest, nic) is False:
        return []
    return [
        _agreed([number(row) for row in _instances(counters, nic)])
        for counters in guest.each(WINDOWS_NIC)
        if counters is not None
    ]


def _instances(counters: WindowsCounters, nic: str) -> Sequence[NetKvm]:
    """Instances of the driver that may be the NIC's: the one of its description, or those of nobody else."""
    named = {one.description.lower(): one.name for one in counters.interfaces}
    mine = [row for row in counters.netkvm if named.get(row.instance.lower()) == nic]
    if mine:
        return mine
    free = [row for row in counters.netkvm if row.instance.lower() not in named]
    served = sum(DESCRIBED in one.description for one in counters.interfaces)
    taken = len(counters.netkvm) - len(free)
    # an instance fewer than NICs: one of them is not shown, and it may be this one
    return free if len(free) >= served - taken else ()


def _agreed(values: Sequence[_Value | None]) -> _Value | None:
    return values[0] if values and all(value == values[0] for value in values) else None


def why_not(guest: Guest, nic: str, capture: str) -> str:
    """Return why a number of the driver is not known."""
    if is_netkvm(guest, nic) is False:
        return ANOTHER_DRIVER
    rows = guest.first(capture)
    several = rows is not None and len(rows if capture == REGISTRY else rows.netkvm) > 1
    return NOT_TOLD_APART if several else ""
