# SPDX-License-Identifier: Apache-2.0
"""Each site of the knowledge base that this kernel can be brought to is brought to it, and looked at.

A trigger (triggers_*.py) loses packets at one site and tells how many, from its sender and its receiver alone.
The numbers that every tool shows are read before and after: the counters that the knowledge base names, in the
places that it names for them, must rise by just that, and no other number of a loss may rise. A silent site must
move nothing. Where the kernel names drop reasons, the one of the knowledge base must be the one that is seen.
"""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import rig
import sight
import triggers_bridge
import triggers_core
import triggers_ip
import triggers_macvtap
import triggers_tun
import triggers_veth
from stage import Loss, NotHere, Trigger
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.reference import Site

KB: KnowledgeBase = load_kb()
TRIGGERS: dict[str, Trigger] = {
    **triggers_tun.TRIGGERS,
    **triggers_macvtap.TRIGGERS,
    **triggers_veth.TRIGGERS,
    **triggers_bridge.TRIGGERS,
    **triggers_core.TRIGGERS,
    **triggers_ip.TRIGGERS,
}

IMPOSSIBLE = ("Not reproducible", "Not reachable", "A race")
"""How the knowledge base's own `trigger` says that no test can do it."""

NOT_HERE: dict[str, str] = {}

SETTLE_S = 5.0


def series(release: str) -> tuple[str, ...]:
    """Return the kernel series of the knowledge base that a release is one of, or lies between."""
    known = sorted({kernel for site in KB.sites.values() for kernel in site.kernels}, key=_version)
    here = _version(release)
    below = [kernel for kernel in known if _version(kernel) <= here][-1:]
    above = [kernel for kernel in known if _version(kernel) >= here][:1]
    return tuple(dict.fromkeys((*below, *above)))


def _version(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    assert found is not None
    return int(found[1]), int(found[2])


HERE = series(Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii"))


def applies(site: Site) -> bool:
    return bool(HERE) and set(HERE) <= set(site.kernels)


def site_of(key: str) -> str:
    return key.partition("/")[0]


@dataclass(frozen=True)
class Seen:
    """What a trigger lost, and what could be seen of it."""

    loss: Loss
    moved: dict[str, int]
    traced: bool
    frees: list[tuple[str, str]]


@dataclass(frozen=True)
class Expected:
    """What must be seen: amounts by place, and places that show the same number without the KB's naming them."""

    places: dict[str, int]
    same: dict[str, int]
    at_least: frozenset[str]

    def met_by(self, moved: dict[str, int]) -> bool:
        return all(
            moved.get(place, 0) == amount or (place in self.at_least and moved.get(place, 0) > amount)
            for place, amount in self.places.items()
        )


def _machine_wide(place: str) -> bool:
    return place.startswith(sight.MACHINE_WIDE)


def expected(site: Site, loss: Loss) -> Expected:
    """Return what the knowledge base says that must move on this kernel, with the amounts of the trigger."""
    wanted = {
        move.counter: loss.amount(move.counter)
        for move in site.moves
        if set(HERE) <= set(move.shown) and move.counter not in loss.elsewhere
    }
    assert wanted.keys() == loss.counts.keys(), "the trigger is for other counters than the site"
    amounts = [(counter, loss.counts[counter], amount) for counter, amount in wanted.items()]
    amounts += [(counter, device, amount) for counter, (device, amount) in loss.also.items()]
    places: dict[str, int] = {}
    same: dict[str, int] = {}
    at_least: set[str] = set()
    for counter, device, amount in amounts:
        named, other = sight.places(KB.counters[counter], device)
        assert named, f"the knowledge base names no place of {counter} that can be read here"
        places |= dict.fromkeys(named, amount)
        same |= dict.fromkeys(other, amount)
        at_least |= {place for place in named if counter in loss.at_least or _machine_wide(place)}
    return Expected(places, same, frozenset(at_least))


def play(site: Site, trigger: Trigger) -> Seen:
    """Run a trigger in namespaces of its own."""

    def body() -> dict[str, Any]:
        eyes = sight.Sight()
        before: dict[str, int] = {}
        with sight.tracing() as trace:

            def begin() -> None:
                before.update(eyes.read())
                trace.begin()

            try:
                loss = trigger(begin)
            except NotHere as error:
                return {"not_here": str(error)}
            want = expected(site, loss)
            until = time.monotonic() + SETTLE_S
            moved = sight.moved(before, eyes.read())
            while not want.met_by(moved) and time.monotonic() < until:
                time.sleep(0.01)
                moved = sight.moved(before, eyes.read())
            frees = [(free.location, free.reason) for free in trace.seen(loss.protocols)]
            return {"loss": asdict(loss), "moved": moved, "traced": trace.works, "frees": frees}

    answer = rig.in_sandbox(body)
    if "not_here" in answer:
        pytest.skip(f"NOT TRIGGERED: {answer['not_here']}")
    frees = [(location, reason) for location, reason in answer["frees"]]
    return Seen(Loss(**answer["loss"]), answer["moved"], answer["traced"], frees)


def reasons(site: Site) -> set[str]:
    """Return the drop reasons that the knowledge base names for this kernel, as the tracepoint prints them."""
    texts = [reason.text for reason in site.reasons if set(HERE) & set(reason.kernels)]
    return {found[1] for text in texts for found in re.finditer(r"(?:SKB_DROP_REASON_| or )([A-Z_0-9]+)", text)}


def seen_at(site: Site, trigger: Trigger) -> Seen:
    """Play a trigger; once more if only numbers that the whole machine shares do not fit."""
    seen = play(site, trigger)
    if any(_machine_wide(place) for place in unexpected(site, seen)):
        seen = play(site, trigger)
    return seen


def unexpected(site: Site, seen: Seen) -> dict[str, int]:
    """Return the numbers of losses that rose though nothing says that they do."""
    want = expected(site, seen.loss)
    return {
        place: amount
        for place, amount in sight.losses(seen.moved).items()
        if place not in want.places and want.same.get(place) != amount
    }


@pytest.mark.parametrize("key", TRIGGERS)
def test_the_counters_of_the_site_move_and_no_others(key: str) -> None:
    site = KB.sites[site_of(key)]
    if not applies(site):
        pytest.skip(f"NOT TRIGGERED: the site is not in {' and '.join(HERE)}")
    seen = seen_at(site, TRIGGERS[key])
    want = expected(site, seen.loss)
    print(key, seen.loss.lost, want.places, seen.frees)
    assert {place: seen.moved.get(place, 0) for place in want.places} == want.places or want.met_by(seen.moved)
    assert unexpected(site, seen) == {}
    check_the_trace(site, seen)


def check_the_trace(site: Site, seen: Seen) -> None:
    if not seen.traced:
        return
    lost = seen.loss.lost if seen.loss.frees is None else seen.loss.frees
    named = reasons(site)
    text = site.visibility.get("skb:kfree_skb", "")
    assert len(seen.frees) == lost
    if named:
        assert {reason for _, reason in seen.frees} <= named
    elif "no reason" in text:
        assert {reason for _, reason in seen.frees} <= {"NOT_SPECIFIED"}
