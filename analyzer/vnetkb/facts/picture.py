# SPDX-License-Identifier: Apache-2.0
"""What a report can draw and quote of a symptom, computed when it is asked for: most reports draw nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Observation
    from vnetkb.facts.path import Path, PathCount
    from vnetkb.facts.plots import Plot
    from vnetkb.facts.quotes import Quote, Quotes
    from vnetkb.facts.symptom import SymptomFacts
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
    """The path on which packets vanished that no counter shows, with the segment where they did.

    Args:
        draw: What gives the path.
        subject: Name of what the path is of.
        quotes: What finds the raw lines again.
    """

    def __init__(self, draw: Callable[[], Path | None], subject: str, quotes: Quotes | None) -> None:
        """Keep the sources; nothing is computed yet."""
        self._draw, self._subject = draw, subject
        self._quotes = quotes

    @cached_property
    def path(self) -> Path | None:
        """The packet's path with counts at its points; None where it is not known."""
        return self._draw()

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
        return () if self._quotes is None else self._quotes.of(member, self._subject, fact)


def silent_device(
    device: DeviceFacts, losing: tuple[str, str], lost: int, seconds: float | None, quotes: Quotes | None
) -> SilentPicture:
    """Return the picture of the path to a device.

    Args:
        device: The device, such as a tap.
        losing: Ids of the two neighbours on the path between which packets vanished.
        lost: How many they are at the least.
        seconds: Time that this covers.
        quotes: What finds the raw lines again.
    """

    def draw() -> Path | None:
        from vnetkb.facts.path import path_to  # noqa: PLC0415 - most reports draw nothing

        path = path_to(device, "tx_dropped", seconds)
        return None if path is None else path._replace(losing=losing, lost=lost, at_least=True)

    return SilentPicture(draw, device.name, quotes)


def with_segment(observation: Observation, quotes: Quotes | None) -> Observation:
    """Return the observation with a picture of the two points between which packets vanished.

    One that has a picture, or whose points are not known, is returned as it is.
    """
    symptom, subject = observation.symptom, observation.subject.name
    if observation.picture is not None or symptom.between is None:
        return observation
    return observation._replace(picture=SilentPicture(lambda: segment(observation), subject, quotes))


def segment(
    observation: Observation,
    before: Iterable[PathCount] = (),
    behind: Iterable[PathCount] = (),
    detail: str = "",
) -> Path:
    """Return the two points between which packets vanished.

    Args:
        observation: A silent one.
        before: What is counted at the first point.
        behind: What is counted at the second.
        detail: A word more about the first.
    """
    from vnetkb.facts.path import Path, PathPoint  # noqa: PLC0415 - most reports draw nothing

    symptom, subject = observation.symptom, observation.subject.name
    first, second = (_PLACES.get(place, place) for place in symptom.between or ("", ""))
    points = (
        PathPoint("before", first, subject, detail, tuple(before)),
        PathPoint("behind", second, _behind(observation), "", tuple(behind)),
    )
    losing = ("before", "behind")
    return Path("to-guest" if second == "guest" else "in", points, losing, symptom.delta, symptom.seconds)


def _behind(observation: Observation) -> str | None:
    """Name of the second of two points: what lies behind the subject, where that is one thing."""
    port, point = observation.words.get("tap"), (observation.symptom.between or ("", ""))[1]
    if point == "guest":
        return observation.subject.vm or (tr("behind {port}", port=port) if port else None)
    if point == "no port":
        return None
    return (port if point == "tap" else None) or observation.subject.name


# What the points of silent losses are, as kinds of points on a path.
_PLACES = {
    "tap ring": "tap",
    "OVS datapath": "ovs_datapath",
    "no port": "no_port",
    "device": "netdev",
    "IP": "ip",
    "host's stack": "host",
    "queueing discipline": "qdisc",
}
