# SPDX-License-Identifier: Apache-2.0
"""The sums of a loss that no counter shows, held against each other also where they meet."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts import guest_received, silent, silent_bridge
from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.guest_ip import GuestIp
from vnetkb.facts.tap import TapFacts
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vnetkb.facts.model import Observations, Symptom
    from vnetkb.facts.subject import SubjectSource

NUMBER = re.compile(r"/\d+(?=/)")


class Balance(NamedTuple):
    """What came to a stretch of the path on which packets were lost before, and none is missing now.

    Attributes:
        came: Packets that came to it; None where nothing counts them.
        hidden: The most that may be missing all the same, by everything else that makes sums differ.
        captures: Members that tell.
    """

    came: int | None
    hidden: int
    captures: tuple[str, ...]


def lacking(symptom: Symptom, second: Observations) -> tuple[str, ...]:
    """Return the captures that a silent loss was seen by and that another bundle has fewer of."""
    wanted = Counter(NUMBER.sub("", path) for path in symptom.captures)
    have: Counter[str] = Counter(NUMBER.sub("", path) for path in second.taken.members)
    return tuple(name.rpartition("/")[2] for name, count in wanted.items() if have[name] < count)


def has_subject(symptom: Symptom) -> bool:
    """Whether a silent loss is of a subject that bundles hold; one that a trace alone shows is not."""
    return not all(path.startswith("series/") for path in symptom.captures)


def balance(
    symptom: Symptom, source: SubjectSource | None, subjects: Mapping[tuple[str, str], SubjectSource]
) -> Balance | str:
    """Return the sums of a silent loss in a bundle that does not show it, or why they are not known.

    Args:
        symptom: The loss as another bundle showed it.
        source: Its subject in this bundle; None for what is no single subject, such as all bridges.
        subjects: Every subject of this bundle.
    """
    devices = [one for one in subjects.values() if isinstance(one, DeviceFacts)]
    summed: silent.Missing | silent_bridge.Gap | None = None
    if isinstance(source, TapFacts) and symptom.between == silent.BETWEEN[silent.QDISC_TO_TAP]:
        summed = silent.missing(source, whole=True)
    elif isinstance(source, TapFacts) and symptom.between == guest_received.BETWEEN:
        summed = guest_received.missing(source, whole=True)
    elif isinstance(source, DeviceFacts) and symptom.between == silent_bridge.BETWEEN:
        summed = silent_bridge.gap(source, devices, whole=True)
    elif isinstance(source, GuestIp):
        lost, came = source.unaccounted(), source.taken()
        if lost is None or came is None:
            return tr("the second bundle does not hold the counts of both ends, or they began anew")
        return Balance(came, max(0, lost), source.captures)
    else:
        came = source.between_snapshots("tx_packets") if isinstance(source, DeviceFacts) else None
        return Balance(came, 0, ())
    if summed is None:
        return tr("the second bundle does not hold the counts of both ends, or they began anew")
    came = summed.came_in if isinstance(summed, silent_bridge.Gap) else summed.sent
    return Balance(came, max(0, summed.at_most), summed.captures)
