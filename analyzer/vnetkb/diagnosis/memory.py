# SPDX-License-Identifier: Apache-2.0
"""Judgements kept by what the facts said: subjects of which every test says the same are judged once.

On a large host hundreds of taps lose packets for one cause. Which tests a judgement asks for depends only on
what those before it said, so the answers lead down a tree to the judgement, or to where a new one begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from vnetkb.diagnosis.conditions import Outcome, Situation, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from vnetkb.kb.model import FactTest

_Made = TypeVar("_Made")


class _Node(Generic[_Made]):
    """The test that is asked next and where each answer leads, or what was made of the answers so far."""

    __slots__ = ("made", "next", "test")

    def __init__(self) -> None:
        self.test: FactTest | None = None
        self.next: dict[Hashable, _Node[_Made]] = {}
        self.made: _Made | None = None


class Memory(Generic[_Made]):
    """What was made of the answers of tests.

    What is kept may depend on nothing of the facts but whether a test holds, whether a join behind a fact
    was inferred, and what would make an unknown fact known. Values differ from subject to subject.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._roots: dict[Hashable, _Node[_Made]] = {}

    def look(
        self,
        about: Hashable,
        situation: Situation,
        make: Callable[[], _Made],
        *,
        keep: Callable[[_Made], bool],
    ) -> _Made:
        """Return what `make` makes in this situation, or made in one that answers alike.

        Args:
            about: All that `make` depends on beside the answers.
            situation: Where the tests are evaluated; nothing may have been asked there before.
            make: Evaluates tests in the situation, and nowhere else.
            keep: Whether what was made depends on the answers alone.
        """
        node = root = self._roots.setdefault(about, _Node())
        while node.test is not None:
            following = node.next.get(_answer(evaluate(node.test, situation)))
            if following is None:
                break
            node = following
        else:
            if node.made is not None:
                return node.made
        made = make()
        if not keep(made):
            return made
        node = root
        for test, outcome in situation.tested.items():
            node.test = test
            node = node.next.setdefault(_answer(outcome), _Node())
        node.made = made
        return made


def _answer(outcome: Outcome) -> Hashable:
    """What a judgement may rest on of a test's outcome."""
    truth, facts, unknown = outcome
    if len(facts) == 1 and not facts[0].inferred:
        # most tests look at one fact, and no join behind it was inferred
        return truth if truth is not None else unknown and facts[0].missing
    inferred = tuple([fact.inferred for fact in facts])
    if truth is not None:
        return truth, inferred
    return inferred, tuple([fact.missing for fact in unknown])
