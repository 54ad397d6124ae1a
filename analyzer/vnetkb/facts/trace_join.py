# SPDX-License-Identifier: Apache-2.0
"""Join of ``skb:kfree_skb`` with ``net:net_dev_xmit`` (rc != 0).

The first has the reason, the second the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class TracedDrop(NamedTuple):
    """One packet that the device refused: when, where in the code, and why (None without drop reasons)."""

    device: str
    time_s: float
    location: str | None
    reason: str | None


def join(events: Iterable[Any]) -> list[TracedDrop]:
    """Give each refused transmit its reason.

    A driver that drops frees the packet inside ``ndo_start_xmit``; ``xmit_one()`` (net/core/dev.c) reports
    the
    result right after on the same CPU. So the partner of a refused transmit is the last free of the same
    packet
    address on the same CPU since the transmit before it.
    """
    freed: dict[tuple[int, int], Any] = {}
    drops: list[TracedDrop] = []
    for event in events:
        key = (event.cpu, event.skbaddr)
        device = getattr(event, "device", None)
        if device is None:
            freed[key] = event
            continue
        free = freed.pop(key, None)
        drops.append(
            TracedDrop(device, event.time_s, free.location if free else None, free.reason if free else None)
        )
    return drops
