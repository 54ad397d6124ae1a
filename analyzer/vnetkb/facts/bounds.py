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

    from vnetkb.facts.subject import Counted, SubjectSource
    from vnetkb.facts.tables import Tables

Span = tuple[float, float]
"""Between which two moments something was read, in monotonic seconds of the host."""


def _ends(tables: Tables, members: Collection[str]) -> tuple[Span, Span] | None:
    """Between when the first and the last readings of some captures were made.

    None where that is not told, or where they are of a host and of a guest: the samples of the two are
    counted apart.
    """
    spans: dict[tuple[str, int], Span] = {}
    for member in members:
        place = tables.times.get(member)
        if place is None:
            continue
        sample, start, end = place
        before = spans.get(sample, (start, end))
        spans[sample] = min(before[0], start), max(before[1], end)
    if len(spans) < 2 or len({scope for scope, _ in spans}) > 1:  # noqa: PLR2004
        return None
    return spans[min(spans)], spans[max(spans)]


def seconds_between(tables: Tables, members: Collection[str], since: Span | None = None) -> Bounds | None:
    """Return the time between the first and the last reading of a number.

    Args:
        tables: The captures.
        members: Paths of the captures that the number was read from.
        since: Between when the first reading was made, where that was before the first snapshot.

    Returns:
        The seconds; None where the bundle does not tell when the readings were made, or where they overlap.
    """
    ends = _ends(tables, members)
    if ends is None:
        return None
    first, last = since or ends[0], ends[1]
    least, most = last[0] - first[1], last[1] - first[0]
    return Bounds((least + most) / 2, least, most) if least > 0 else None


def seconds_apart(tables: Tables, members: Collection[str], since: Span | None = None) -> float | None:
    """Return how far apart two numbers can have been read, at the first and at the last reading together.

    Args:
        tables: The captures.
        members: Paths of the captures that the two numbers were read from.
        since: Between when the first reading was made, where that was before the first snapshot: one line
            of a sample, whose numbers are of one moment.
    """
    ends = _ends(tables, members)
    if ends is None:
        return None
    return sum(end - start for start, end in (ends[1:] if since else ends))


def read_between(source: SubjectSource, counted: Counted) -> Bounds | None:
    """Return the time between the first and the last reading of a counter; None where it is not told."""
    tables = getattr(source, "tables", None)
    return None if tables is None else seconds_between(tables, counted.captures, counted.since)


def covered(source: SubjectSource, counted: Counted, snapshots_s: float | None) -> float | None:
    """Return the time that a counter's difference covers, in seconds; None where nothing tells it.

    Args:
        source: The counter's subject.
        counted: How it moved.
        snapshots_s: Time between the first and the last snapshot of the host.
    """
    between = read_between(source, counted)
    if between is not None:
        return round(between.value, 2)
    return counted.covers_s if counted.own_time else counted.covers_s or snapshots_s


def rate(delta: int, seconds: Bounds) -> Bounds:
    """Return how much a second a difference is."""
    return Bounds(delta / seconds.value, delta / seconds.most, delta / seconds.least)


def share(lost: int, passed: int, slack: float) -> Bounds | None:
    """Return what part of the packets was lost, 0..1; None where there were none.

    The packets lost are those between the two readings of their own counter. How many passed in the same
    time is known no better than how many can have passed while the one counter was read and the other not.

    Args:
        lost: Packets lost.
        passed: Packets that went the right way, by a counter read at another time.
        slack: Packets that can have passed between the readings of the two.
    """
    if lost + passed <= 0:
        return None
    if not lost:
        return Bounds(0.0, 0.0, 0.0)
    return Bounds(
        lost / (lost + passed), lost / (lost + passed + slack), lost / (lost + max(0.0, passed - slack))
    )
