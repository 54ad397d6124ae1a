# SPDX-License-Identifier: Apache-2.0
"""What a kind of subject must offer so that its counters can become symptoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vnetkb.facts.model import Fact, Subject, Witness


class Counted(NamedTuple):
    """How one counter of one subject stood and moved.

    Attributes:
        values: Its value in every snapshot; None where a snapshot does not show it.
        delta: How far it moved over the whole bundle; None when that is not known.
        samples: How far it moved in each interval of the series; empty when no series shows it.
        seconds: Length of each of those intervals in seconds.
        captures: Members that the values were read from.
        sample_captures: Members that the samples were read from.
        missing: Capture ids that would make an unknown ``delta`` known.
        why_unknown: Why ``delta`` is unknown, in plain words; empty when it is known.
        since: Monotonic seconds between which ``delta`` begins, where that is before the first snapshot: a
            collector that waited for a drop read the counter in its samples already.
        covers_s: Time that ``delta`` covers, in seconds, where the captures' own times do not tell it: since
            a collector waited for a drop, or by the clock of a guest. None where it is that between the
            snapshots.
        own_time: Whether it was read at times of its own, so that those of the snapshots say nothing of it.
    """

    values: tuple[int | None, ...] = ()
    delta: int | None = None
    samples: tuple[int | None, ...] = ()
    seconds: tuple[float, ...] = ()
    captures: tuple[str, ...] = ()
    sample_captures: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    why_unknown: str = ""
    since: tuple[float, float] | None = None
    covers_s: float | None = None
    own_time: bool = False

    @property
    def last(self) -> int | None:
        """The last value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)

    @property
    def one_snapshot(self) -> bool:
        """Whether fewer than two snapshots show it, so that nothing can be said about its movement."""
        return sum(1 for value in self.values if value is not None) < 2  # noqa: PLR2004


class SubjectSource(Protocol):
    """A device, a datapath, a guest: something that has counters and facts."""

    @property
    def subject(self) -> Subject:
        """What a finding on it is about."""
        ...

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets lost in each interval of the series, where there is one counter that tells; else empty."""
        ...

    def fact(self, name: str) -> Fact:
        """Return a fact of it; one that is not known comes back with value None."""
        ...

    def counted(self, field: str) -> Counted | None:
        """Return how a counter stood and moved, by the kernel's name of it; None if there is none."""
        ...

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """Return other tools' views of a counter over the same snapshots.

        Args:
            field: The kernel's name of the counter.
            counted: How it moved, to compare with.
            peak_rate: Highest rate seen, per second: readings that lie apart in time may differ by that.
        """
        ...

    def scopes(self) -> Mapping[str, str]:
        """Return what it shares with others, by kind (vm, cpus, bridge, device, host), where known."""
        ...

    def words(self) -> Mapping[str, str]:
        """Return the names that the knowledge base's texts may use for it."""
        ...
