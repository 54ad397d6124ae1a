# SPDX-License-Identifier: Apache-2.0
"""A loss that no counter shows, as an observation like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.bounds import seconds_between
from vnetkb.facts.model import Observation, Symptom
from vnetkb.language import tr

if TYPE_CHECKING:
    from vnetkb.facts.model import FactSource
    from vnetkb.facts.picture import Picture
    from vnetkb.facts.subject import SubjectSource


class Vanished(NamedTuple):
    """Packets that were lost without a count.

    Attributes:
        packets: How many, at the least.
        between: The two points of the path between which they vanished.
        called: What a reader is told of them, marked for translation.
        captures: Members that show it.
        sent: Packets that they are a share of; 0 where no share is known.
        share_of: What that is, in words marked for translation.
    """

    packets: int
    between: tuple[str, str]
    called: str
    captures: tuple[str, ...]
    sent: int = 0
    share_of: str = ""


def observation(
    source: SubjectSource,
    facts: FactSource,
    lost: Vanished,
    seconds: float | None,
    picture: Picture | None = None,
) -> Observation:
    """Return a silent symptom of a subject with what can explain it.

    Args:
        source: The subject.
        facts: What can explain it.
        lost: How many packets vanished, and where.
        seconds: Time in which they did, where the times of the captures do not tell it.
        picture: The path that they were on.
    """
    tables = getattr(source, "tables", None)
    between = None if tables is None else seconds_between(tables, lost.captures)
    symptom = Symptom(
        None,
        "silent",
        lost.packets,
        None,
        lost.packets / lost.sent if lost.sent else None,
        round(between.value, 2) if between is not None else seconds,
        lost.between,
        called=tr(lost.called),
        share_of=tr(lost.share_of) if lost.share_of else None,
        captures=lost.captures,
    )
    return Observation(
        source.subject,
        symptom,
        facts,
        one_snapshot=False,
        words=source.words(),
        scopes=source.scopes(),
        picture=picture,
    )
