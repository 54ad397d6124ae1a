# SPDX-License-Identifier: Apache-2.0
"""How exact a rate or a share can be: a snapshot takes time, and its numbers are read one after the other.

A counter's difference is exact; when its two readings were made is known no better than when their captures
began and how long these took, in the steps of ``/proc/uptime`` (0.01 s). Two numbers of one capture may lie
as far apart as it took, and meanwhile packets come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts.model import Bounds

if TYPE_CHECKING:
    from collections.abc import Collection

    from vnetkb.facts.tables import Tables


def seconds_between(
    tables: Tables, members: Collection[str], since: tuple[float, float] | None = None
) -> tuple[Bounds, float] | None:
    """Return the time between the first and the last reading, and how far apart two numbers of it can lie.

    Args:
        tables: The captures.
        members: Paths of the captures that a number was read from.
        since: Between when the first reading was made, where that was before the first snapshot: one line
            of a sample, whose numbers are of one moment.

    Returns:
        The seconds between the readings, and the seconds that both readings took together; None where the
        bundle does not tell when they were made, or where they overlap.
    """
    spans: dict[int, tuple[float, float]] = {}
    for member in members:
        place = tables.times.get(member)
        if place is None:
            continue
        n, start, end = place
        before = spans.get(n, (start, end))
        spans[n] = min(before[0], start), max(before[1], end)
    if len(spans) < 2:  # noqa: PLR2004
        return None
    first, last = since or spans[min(spans)], spans[max(spans)]
    least, most = last[0] - first[1], last[1] - first[0]
    if least <= 0:
        return None
    apart = 0.0 if since else first[1] - first[0]
    return Bounds((least + most) / 2, least, most), apart + (last[1] - last[0])


def rate(delta: int, seconds: Bounds) -> Bounds:
    """Return how much a second a difference is."""
    return Bounds(delta / seconds.value, delta / seconds.most, delta / seconds.least)


def share(lost: int, passed: int, slack: float) -> Bounds | None:
    """Return what part of the packets was lost, 0..1; None where there were none.

    Args:
        lost: Packets lost.
        passed: Packets that went the right way, by a counter read at another time.
        slack: Packets that can have been lost between the readings of the two.
    """
    if lost + passed <= 0:
        return None
    fewest, most = max(0.0, lost - slack), lost + slack
    low = fewest / (fewest + passed) if fewest + passed else 0.0
    return Bounds(lost / (lost + passed), low, most / (most + passed))
