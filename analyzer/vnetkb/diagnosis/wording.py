# SPDX-License-Identifier: Apache-2.0
"""Placeholders of the knowledge base's texts filled in: values with their units, names of the subject."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vnetkb.kb.model import Over
from vnetkb.language import Language, spoken, tr, tr_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vnetkb.facts.model import Fact, FactSource, Value
    from vnetkb.kb.model import KnowledgeBase

# not ATTR{tx_queue_len} of a udev rule
PLACEHOLDER = re.compile(r"(?<![A-Z])\{([a-z][a-z0-9_.]*)\}")
CAPITALS = re.compile(r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9_]*(?![A-Za-z0-9_])")
SHORT = 10
SMALL = 0.1
NEXT_TO_NOTHING = 0.00001
SHARES = ((0.01, 5), (1, 3), (100, 1))
"""Where a loss is watched from, where it harms, and all of it: a share just below has so many decimals."""


NAMES = ("Open vSwitch", "NetKVM", "Windows", "Linux")
"""What is written with a capital inside a sentence too."""

_PLAIN_WORD = re.compile(r"[A-Za-z0-9@%+=:,./_][A-Za-z0-9@%+=:,./_-]*")


def shell_word(text: str) -> str:
    """Return a name as one word of a shell's command line: a device may be called ``$(reboot)``."""
    if _PLAIN_WORD.fullmatch(text):
        return text
    from shlex import quote  # noqa: PLC0415 - few names need it

    return quote(text)


def lowered(title: str) -> str:
    """Return a title for the middle of a sentence: ``A tap`` as ``a tap``, ``GSO packets`` as it is."""
    second = title[1:2]
    if spoken() is not Language.ENGLISH or not (second.islower() or second.isspace()):
        return title
    if title.startswith(NAMES):
        return title
    return f"{title[:1].lower()}{title[1:]}"


def quantity(value: Value | None, unit: str | None) -> str:
    """Return a value as people write it: ``yes``, ``42 ms``, ``100 %``; an unknown one as ``unknown``."""
    if value is None:
        return tr("unknown")
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or tr("none")
    if unit == "%" and isinstance(value, float) and 0 < value < NEXT_TO_NOTHING:
        return tr("under 0.00001 %")
    text = _digits(value, whole=unit == "%") if isinstance(value, float) else str(value)
    if not unit or unit == "count" or isinstance(value, str):
        return text
    if unit == "packets" and value == 1 and spoken() is Language.ENGLISH:
        unit = "packet"
    return f"{text} {tr_name(unit, 'unit')}"


def _digits(value: float, *, whole: bool) -> str:
    """Return a number with the digits that matter.

    What is not 0 never reads so; nor does a share (``whole``) read 0.01, 1 or 100 that is less.
    """
    exact = _without_noise(value)
    for most, places in SHARES:
        if whole and most - 0.5 / 10 ** (places - 1) <= exact < most:
            return f"{math.floor(exact * 10**places) / 10**places:g}"
    if 0 < abs(value) < SMALL:
        return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < SHORT else f"{value:.0f}"


def _without_noise(value: float) -> float:
    """Return a number without what arithmetic on floats adds in its last places, which is no loss."""
    return float(f"{value:.8g}")


def percent(ratio: float, whole: Callable[[float], int] = round) -> str:
    """Return a share as per cent with the digits that matter: ``12 %``, ``0.031 %``, ``under 0.001 %``.

    Args:
        ratio: The share, 0 to 1.
        whole: How it is rounded; what is less than 0.01, 1 or 100 % is never rounded up to that by itself.
    """
    value = 100 * ratio
    if 0 < value < 0.001:  # noqa: PLR2004
        return tr("under 0.001 %")
    text = digits(value, whole)
    if whole is round and any(_without_noise(value) < most <= float(text) for most, _ in SHARES):
        text = digits(value, math.floor)
    return f"{text} %"


def digits(value: float, whole: Callable[[float], int] = round) -> str:
    """Return a number with the three digits that matter, or all of those before the point."""
    places = 0 if value >= 100 or not value else 2 - math.floor(math.log10(value))  # noqa: PLR2004
    # what arithmetic on floats adds in the last places is no reason to round up
    told = whole(round(value * 10**places, 6)) / 10**places
    return f"{told:.3g}" if told < 100 else f"{told:.0f}"  # noqa: PLR2004


def present(fact: Fact) -> Value | None:
    """Return a fact's value in the last snapshot that shows it, or else the overall one."""
    return next((end for end in reversed(fact.ends) if end is not None), fact.value)


def shown(
    fact: Fact,
    unit: str | None,
    over: Over | None = None,
    drops: Sequence[int | None] = (),
    intervals: Collection[int] | None = None,
) -> str:
    """Return a fact's value for a text, as the test that speaks of it saw it.

    Args:
        fact: The fact.
        unit: Its unit.
        over: Which of its values were looked at; None for the overall one, or else what there is.
        drops: The weights of the samples, for ``drop_samples``.
        intervals: Only these samples, for ``drop_samples``; None for all with drops.
    """
    if over is None and fact.value is not None:
        return quantity(fact.value, unit)
    samples = fact.samples
    if over is Over.DROP_SAMPLES:
        samples = tuple(
            value
            for index, (value, lost) in enumerate(zip(samples, drops, strict=False))
            if lost and (intervals is None or index in intervals)
        )
    known = [value for value in samples if isinstance(value, int | float) and not isinstance(value, bool)]
    if over in {Over.ALL_SAMPLES, Over.DROP_SAMPLES} or not any(end is not None for end in fact.ends):
        return (
            _joined(sorted({min(known), max(known)}), _between(tr("to")), unit)
            if known
            else quantity(fact.value, unit)
        )
    return _joined(list(dict.fromkeys(fact.ends)), _between(tr("then")), unit)


def _between(word: str) -> str:
    return f" {word} "


def _joined(values: Sequence[Value | None], between: str, unit: str | None) -> str:
    texts = [*(quantity(value, None) for value in values[:-1]), quantity(values[-1], unit)]
    if len(texts) > 1 and len({quantity(value, None) for value in values}) == 1:
        return texts[-1]
    return between.join(texts)


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a text of the knowledge base is filled from.

    Attributes:
        words: Names of the subject: ``{tap}``, ``{vm}``, ``{process}`` and so on.
        facts: The subject's facts, for ``{fact.name}``.
        kb: The knowledge base, for their units.
        over: For each fact, which of its values the text speaks of.
        about: The fact that ``{value}`` stands for.
        intervals: The samples that the text speaks of; None for all with drops.
        for_shell: It fills commands: names are quoted, numbers have no unit, and what is not known is a word
            in capitals for the reader to replace.
    """

    words: Mapping[str, str]
    facts: FactSource
    kb: KnowledgeBase
    over: Mapping[str, Over | None] = field(default_factory=dict)
    about: str | None = None
    intervals: Collection[int] | None = None
    for_shell: bool = False

    def value(self, name: str) -> str:
        """Return one fact's value as this text means it."""
        unit = self.kb.facts[name].unit if name in self.kb.facts else None
        over = self.over.get(name)
        return shown(self.facts.fact(name), unit, over, self.facts.drops, self.intervals)

    def fill(self, text: str) -> str:
        """Replace the placeholders; a name that nobody knows reads ``unknown``."""
        return PLACEHOLDER.sub(lambda match: self._one(match.group(1)), text)

    def _one(self, name: str) -> str:
        if self.for_shell:
            return self._shell_word(name)
        if name == "value" and self.about is not None:
            return self.value(self.about)
        return self.value(name) if name in self.kb.facts else self.words.get(name) or tr("unknown")

    def _shell_word(self, name: str) -> str:
        known = present(self.facts.fact(name)) if name in self.kb.facts else self.words.get(name)
        return name.rpartition(".")[2].upper() if known is None else shell_word(quantity(known, None))
