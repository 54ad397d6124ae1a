# SPDX-License-Identifier: Apache-2.0
"""What a report can draw and quote of a symptom, computed when it is asked for: most reports draw nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vnetkb.facts.path import Path
    from vnetkb.facts.plots import Plot
    from vnetkb.facts.quotes import Quote, Quotes
    from vnetkb.facts.symptom import SymptomFacts
    from vnetkb.facts.tap import TapFacts
    from vnetkb.facts.together import Together


class Picture:
    """The path, the plots and the raw lines behind one symptom."""

    def __init__(self, symptom: SymptomFacts, quotes: Quotes | None) -> None:
        """Keep the sources; nothing is computed yet."""
        self._symptom = symptom
        self._quotes = quotes

    @cached_property
    def path(self) -> Path | None:
        """The packet's path with counts at its points; None where none is known for this kind of subject."""
        from vnetkb.facts.path import path_of  # noqa: PLC0415 - most reports draw nothing

        return path_of(self._symptom)

    @cached_property
    def plots(self) -> tuple[Plot, ...]:
        """The series as rates over time; empty without a series."""
        from vnetkb.facts.plots import plots_of  # noqa: PLC0415 - most reports draw nothing

        return plots_of(self._symptom)

    @cached_property
    def together(self) -> tuple[Together, ...]:
        """What rose and fell with the drops; empty without a series."""
        return self._symptom.together

    @property
    def losing_intervals(self) -> tuple[int, int]:
        """In how many intervals of the series packets were lost, and how many intervals tell."""
        known = [lost for lost in self._symptom.drops if lost is not None]
        return sum(1 for lost in known if lost), len(known)

    def quotes(self, member: str, fact: str) -> tuple[Quote, ...]:
        """Return the lines of a member that a fact (or the symptom's own counter) was read from."""
        if self._quotes is None:
            return ()
        return self._quotes.of(member, self._symptom.source.subject.name, fact)


class SilentPicture(Picture):
    """The path of a tap on which packets vanished that no counter shows, with the segment where they did.

    Args:
        tap: The tap.
        losing: Ids of the two neighbours on the path between which they vanished.
        lost: How many they are at the least.
        seconds: Time that this covers.
        quotes: What finds the raw lines again.
    """

    def __init__(
        self, tap: TapFacts, losing: tuple[str, str], lost: int, seconds: float | None, quotes: Quotes | None
    ) -> None:
        """Keep the sources; nothing is computed yet."""
        self._tap, self._losing, self._lost, self._seconds = tap, losing, lost, seconds
        self._quotes = quotes

    @cached_property
    def path(self) -> Path | None:
        """The packet's path with counts at its points; None where it is not known."""
        from vnetkb.facts.path import path_to  # noqa: PLC0415 - most reports draw nothing

        path = path_to(self._tap, "tx_dropped", self._seconds)
        return None if path is None else path._replace(losing=self._losing, lost=self._lost)

    @cached_property
    def plots(self) -> tuple[Plot, ...]:
        """Nothing: the series does not hold the numbers."""
        return ()

    @cached_property
    def together(self) -> tuple[Together, ...]:
        """Nothing either."""
        return ()

    @property
    def losing_intervals(self) -> tuple[int, int]:
        """No interval tells."""
        return 0, 0

    def quotes(self, member: str, fact: str) -> tuple[Quote, ...]:
        """Return the lines of a member that a fact was read from."""
        return () if self._quotes is None else self._quotes.of(member, self._tap.name, fact)
