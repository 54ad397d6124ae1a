# SPDX-License-Identifier: Apache-2.0
"""A subject that is no network device: a datapath, a bridge's rules, connection tracking."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Fact, Subject
from vnetkb.facts.subject import Counted
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vnetkb.facts.model import Witness
    from vnetkb.facts.topology import Topology


class PlainSource:
    """Facts and counters of one subject that captures of the snapshots show, each computed on first use.

    Args:
        name: Name of the subject.
        topology: The joins, with the tables.
    """

    kind: ClassVar[str] = ""
    capture: ClassVar[str] = ""
    providers: ClassVar[Mapping[str, Callable[[Any], Fact]]] = {}

    def __init__(self, name: str, topology: Topology) -> None:
        """Keep the sources; nothing is computed yet."""
        self.name = name
        self.topology = topology
        self.tables = topology.tables
        self._facts: dict[str, Fact] = {}

    @property
    def subject(self) -> Subject:
        """What a finding on it is about."""
        return Subject(self.kind, self.name)

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: no series is taken of it."""
        return ()

    def scopes(self) -> Mapping[str, str]:
        """What it shares with others: its host."""
        return {"host": self.tables.bundle.manifest.host}

    def words(self) -> Mapping[str, str]:
        """Names that the knowledge base's texts may use for it."""
        return {"device": self.name, "host": self.tables.bundle.manifest.host}

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """No other tool shows these numbers."""
        del field, counted, peak_rate
        return ()

    def value(self, field: str, n: int) -> int | None:
        """Return a counter as snapshot ``n`` shows it; None where it does not."""
        raise NotImplementedError

    def counted(self, field: str) -> Counted | None:
        """Return how a counter stood and moved; None if it is in no snapshot."""
        values = tuple(self.value(field, n) for n in self.tables.snapshots)
        if all(value is None for value in values):
            return None
        steps = [difference(a, b, same_device=None, u32=False) for a, b in itertools.pairwise(values)]
        delta = total(steps)
        known = delta is not None
        return Counted(
            values,
            delta,
            captures=self.tables.paths(self.capture),
            missing=() if known else (self.capture,),
            why_unknown=""
            if known
            else tr("it needs two snapshots between which the counter did not restart"),
        )

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        if name not in self._facts:
            provider = self.providers.get(name)
            fact = (
                provider(self)
                if provider
                else Fact(name, why_unknown=tr("not computed for a {kind}", kind=self.kind))
            )
            if fact.missing:
                fact = fact._replace(missing=tuple(c for c in fact.missing if self.tables.can_be_had(c)))
            self._facts[name] = fact
        return self._facts[name]

    def moved(self, name: str, field: str) -> Fact:
        """Build the fact of how far a counter moved."""
        one = self.counted(field)
        if one is None:
            return Fact(name, missing=(self.capture,), why_unknown=self.why(self.capture))
        return Fact(name, one.delta, captures=one.captures, missing=one.missing, why_unknown=one.why_unknown)

    def why(self, capture: str) -> str:
        """Why a capture gave nothing for this subject."""
        for n in self.tables.snapshots:
            if self.tables.get(capture, n) is None:
                return self.tables.why(capture, n)
        return tr("{capture} does not show it", capture=capture)
