# SPDX-License-Identifier: Apache-2.0
"""What else in the series rose and fell with the drops: the packet rate, waits for a CPU, steal, softirqs."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.plots import CPU_FACTS, Numbers, numbers, rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.facts.symptom import SymptomFacts

LEAST_PAIRS = 5


class Together(NamedTuple):
    """How something else in the series moved while packets were lost.

    Attributes:
        id: ``offered``, the name of a fact, ``steal`` or ``softnet``.
        correlation: Of ranks: 1 rises and falls with the drops, 0 has nothing to do with them, -1 against.
        intervals: Intervals that show both.
        captures: Members that both were read from.
    """

    id: str
    correlation: float
    intervals: int
    captures: tuple[str, ...]


def together_of(symptom: SymptomFacts) -> tuple[Together, ...]:
    """Return what rose and fell with the drops, the closest first; empty where a series is too short."""
    drops, seconds = rates(symptom.drops, symptom.counted.seconds), symptom.counted.seconds
    if sum(1 for value in drops if value is not None) < LEAST_PAIRS or len(set(drops)) == 1:
        return ()
    captures = symptom.counted.sample_captures
    others: list[tuple[str, Numbers, tuple[str, ...]]] = []
    # where nothing passes, what is offered is what is dropped: that they go together says nothing
    if symptom.has_denominator and any(symptom.passed_samples):
        passed = rates(symptom.passed_samples, seconds)
        offered = tuple(
            None if a is None or b is None else a + b for a, b in zip(drops, passed, strict=False)
        )
        others.append(("offered", offered, captures))
    for name in CPU_FACTS:
        fact = symptom.fact(name)
        others.append((name, numbers(fact.samples), fact.captures))
    others += _host_curves(symptom)
    found = []
    for name, values, where in others:
        value = correlation(drops, values)
        if value is not None:
            both = sum(1 for a, b in zip(drops, values, strict=False) if a is not None and b is not None)
            found.append(Together(name, value, both, tuple(dict.fromkeys((*captures, *where)))))
    return tuple(sorted(found, key=lambda one: -abs(one.correlation)))


def _host_curves(symptom: SymptomFacts) -> list[tuple[str, Numbers, tuple[str, ...]]]:
    """CPU time taken from this host by the hypervisor below it, and packets its softirqs left waiting."""
    timeline = getattr(symptom.source, "timeline", None)
    if timeline is None:
        return []
    curves: list[tuple[str, Numbers, tuple[str, ...]]] = []
    for name, capture, read in (
        ("steal", "proc-stat", _steal),
        ("softnet", "softnet-stat", _squeezed),
    ):
        moved = timeline.counted(capture, read)
        if any(moved):
            path = timeline.tables.path(capture, None, "series")
            curves.append((name, rates(moved, timeline.seconds), (path,)))
    return curves


def _steal(stat: Any) -> int:  # noqa: ANN401 - the parser's row
    return int(stat.total.steal)


def _squeezed(cpus: Any) -> int:  # noqa: ANN401 - the parser's rows
    return sum(cpu.dropped + cpu.time_squeeze for cpu in cpus)


def correlation(one: Sequence[float | None], other: Sequence[float | None]) -> float | None:
    """Return how far two series rise and fall together, by their ranks: 1 always, 0 not at all, -1 against.

    Spearman's rank correlation: a few large values do not decide it alone. None with fewer than five moments
    that both show, or where one of the two stands still.
    """
    pairs = [(a, b) for a, b in zip(one, other, strict=False) if a is not None and b is not None]
    if len(pairs) < LEAST_PAIRS:
        return None
    first, second = (_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    middle = (len(pairs) + 1) / 2
    spread = [math.fsum((rank - middle) ** 2 for rank in ranks) for ranks in (first, second)]
    if not all(spread):
        return None
    together = math.fsum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    return max(-1.0, min(1.0, together / math.sqrt(spread[0] * spread[1])))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    for _, group in itertools.groupby(enumerate(order, 1), key=lambda item: values[item[1]]):
        same = list(group)
        for _, index in same:
            ranks[index] = (same[0][0] + same[-1][0]) / 2
    return ranks
