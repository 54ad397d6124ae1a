# SPDX-License-Identifier: Apache-2.0
"""Differences of counters that wrap, are reset, or belong to a device that was made anew."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

U32 = 1 << 32
MOST_PER_SECOND = 200_000_000
"""Packets that a host can lose on one device: to make, send and refuse one takes a CPU a microsecond, and it
has a few hundred of them at the most."""


def difference(
    before: int | None,
    after: int | None,
    *,
    same_device: bool | None,
    u32: bool | None,
    seconds: float | None = None,
) -> int | None:
    """Return how far a counter moved from ``before`` to ``after``, or None where that is not known.

    A counter that went back has wrapped (u32 storage: tun's per-CPU drop counters up to Linux 5.10,
    ``drivers/net/tun.c`` ``struct tun_pcpu_stats``) or was reset with its device. Only the first has a
    right difference. Nothing in ``drivers/net/tun.c`` ever clears a tap's counters, so one that went back on
    the same device has wrapped; where that would take more packets than a host can lose, it is unknown.

    Args:
        before: Earlier value.
        after: Later value.
        same_device: False when the device was made anew between the two; None when that is not known.
        u32: True where the kernel stores this counter in 32 bits; None when that is not known.
        seconds: Time between the two at the most; None when it is not known.
    """
    if before is None or after is None or same_device is False:
        return None
    if after >= before:
        return after - before
    if u32 and same_device and before < U32:
        wrapped = after + U32 - before
        return wrapped if seconds is None or wrapped <= seconds * MOST_PER_SECOND else None
    return None


def goes_back(values: Iterable[int | None]) -> bool:
    """Return whether a known value is below the known one before it."""
    known = [value for value in values if value is not None]
    return any(after < before for before, after in itertools.pairwise(known))


def total(values: Sequence[int | None]) -> int | None:
    """Return the sum, or None when any part is unknown or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
