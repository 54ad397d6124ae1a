# SPDX-License-Identifier: Apache-2.0
"""Differences of counters that wrap, are reset, or belong to a device that was made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

U32 = 1 << 32


def difference(
    before: int | None, after: int | None, *, same_device: bool | None, u32: bool | None
) -> int | None:
    """Return how far a counter moved from ``before`` to ``after``, or None where that is not known.

    A counter that went back has wrapped (u32 storage: tun's per-CPU drop counters up to Linux 5.10,
    ``drivers/net/tun.c`` ``struct tun_pcpu_stats``) or was reset with its device. Only the first has a
    right difference.

    Args:
        before: Earlier value.
        after: Later value.
        same_device: False when the device was made anew between the two; None when that is not known.
        u32: True where the kernel stores this counter in 32 bits; None when that is not known.
    """
    if before is None or after is None or same_device is False:
        return None
    if after >= before:
        return after - before
    if u32 and same_device and before < U32:
        return after + U32 - before
    return None


def total(values: Sequence[int | None]) -> int | None:
    """Return the sum, or None when any part is unknown or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
