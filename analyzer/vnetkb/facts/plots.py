# SPDX-License-Identifier: Apache-2.0
"""The series of a symptom as rates over time, and what moved together with the drops."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.facts.model import Value
    from vnetkb.facts.symptom import SymptomFacts

Numbers = tuple[float | None, ...]


class Curve(NamedTuple):
    """One line of a plot.

    Attributes:
        id: ``lost``, ``passed`` or the name of a fact.
        values: One value for each interval; None where it is not known.
        captures: Members that they were computed from.
    """

    id: str
    values: Numbers
    captures: tuple[str, ...]


class Plot(NamedTuple):
    """Curves over the same intervals with the same unit.

    Attributes:
        id: ``packets`` or ``cpu``.
        unit: ``packets/s`` or ``%``.
        starts: Start of each interval in seconds since the first.
        seconds: Length of each interval.
        curves: The lines.
        top: The largest value; 0 when all are 0 or unknown.
        marks: When the snapshots were taken, in seconds since the start of the first interval.
    """

    id: Literal["packets", "cpu"]
    unit: str
    starts: tuple[float, ...]
    seconds: tuple[float, ...]
    curves: tuple[Curve, ...]
    top: float
    marks: tuple[float, ...] = ()


CPU_FACTS = ("reader.run_share", "reader.delay_share", "vcpu.run_share", "vcpu.delay_share")


def plots_of(symptom: SymptomFacts) -> tuple[Plot, ...]:
    """Return what of the series can be drawn: packets lost and passed, and how the threads spent the time."""
    seconds = symptom.counted.seconds
    if not seconds or all(value is None for value in symptom.drops):
        return ()
    captures = symptom.counted.sample_captures
    marks = _snapshots(symptom, sum(seconds))
    packets = [Curve("lost", rates(symptom.drops, seconds), captures)]
    if symptom.has_denominator and any(value is not None for value in symptom.passed_samples):
        packets.append(Curve("passed", rates(symptom.passed_samples, seconds), captures))
    made = [_plot("packets", "packets/s", seconds, packets, marks)]
    threads = []
    for name in CPU_FACTS:
        fact = symptom.fact(name)
        values = numbers(fact.samples)
        if len(values) == len(seconds) and any(value is not None for value in values):
            threads.append(Curve(name, values, fact.captures))
    if threads:
        made.append(_plot("cpu", "%", seconds, threads, marks))
    return tuple(made)


def _snapshots(symptom: SymptomFacts, span: float) -> tuple[float, ...]:
    """When the snapshots were taken, as far as they fall into the series."""
    timeline = getattr(symptom.source, "timeline", None)
    tables = getattr(symptom.source, "tables", None)
    start = timeline.start_of(0) if timeline is not None else None
    if start is None or tables is None:
        return ()
    moments = (snapshot.monotonic_s - start for snapshot in tables.bundle.manifest.snapshots)
    return tuple(moment for moment in moments if 0 <= moment <= span)


def _plot(
    name: Literal["packets", "cpu"],
    unit: str,
    seconds: tuple[float, ...],
    curves: Sequence[Curve],
    marks: tuple[float, ...],
) -> Plot:
    drawn = []
    lengths: tuple[float, ...] = seconds
    for curve in curves:
        values, lengths = merged(curve.values, seconds, INTERVALS)
        drawn.append(Curve(curve.id, values, curve.captures))
    known = [value for curve in drawn for value in curve.values if value is not None]
    starts = tuple(itertools.accumulate(lengths[:-1], initial=0.0))
    return Plot(name, unit, starts, lengths, tuple(drawn), max(known, default=0.0), marks)


INTERVALS = 240
"""More intervals than a drawing can show are drawn together."""


def merged(values: Numbers, seconds: Sequence[float], at_most: int) -> tuple[Numbers, tuple[float, ...]]:
    """Return rates over fewer, longer intervals: the mean over their time, None where a part is unknown."""
    width = max(1, -(-len(values) // max(1, at_most)))
    few: list[float | None] = []
    lengths: list[float] = []
    for start in range(0, len(values), width):
        parts, times = values[start : start + width], seconds[start : start + width]
        length = math.fsum(times)
        lengths.append(length)
        whole = [part for part in parts if part is not None]
        known = len(whole) == len(parts) and length > 0
        few.append(math.fsum(a * b for a, b in zip(whole, times, strict=True)) / length if known else None)
    return tuple(few), tuple(lengths)


def rates(moved: Sequence[int | None], seconds: Sequence[float]) -> Numbers:
    """Return movements of intervals as movements per second; None where the interval has no length."""
    pairs = zip(moved, seconds, strict=False)
    return tuple(None if value is None or length <= 0 else value / length for value, length in pairs)


def numbers(values: Sequence[Value | None]) -> Numbers:
    """Return values as numbers; None for what is none."""
    return tuple(
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        for value in values
    )
