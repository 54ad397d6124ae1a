# SPDX-License-Identifier: Apache-2.0
"""The knowledge base as one build sees it: in its language, with what the pages ask of it again and again."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from vnetkb import paths
from vnetkb.kb import model
from vnetkb.kb.load import load_kb
from vnetkb.kb.verified import load_lines
from vnetkb.language import Language
from vnetkb_docs.words import use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sphinx.application import Sphinx

    from vnetkb.kb.model import KnowledgeBase, Rule
    from vnetkb.kb.reference import Counter, Move, Site, ToolName
    from vnetkb.kb.verified import SiteLines


@dataclass(frozen=True)
class Knowledge:
    """The knowledge base and what is found by walking through all of it.

    Attributes:
        kb: The knowledge base in the language of the build.
        lines: For each kernel version whose source was held against it, where the sites are.
        language: `en` or `zh`.
    """

    kb: KnowledgeBase
    lines: Mapping[str, Mapping[str, SiteLines]]
    language: str

    @cached_property
    def series(self) -> tuple[str, ...]:
        """The kernel series that were read, the oldest first."""
        found = {series for site in self.kb.sites.values() for series in site.kernels}
        return tuple(sorted(found, key=lambda each: tuple(int(part) for part in each.split("."))))

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """For each series the version whose lines are known."""
        return {".".join(version.split(".")[:2]): version for version in self.lines}

    @cached_property
    def moves(self) -> Mapping[str, tuple[tuple[Site, Move], ...]]:
        """For each counter the sites that move it."""
        found: dict[str, list[tuple[Site, Move]]] = defaultdict(list)
        for site in self.kb.sites.values():
            for move in site.moves:
                found[move.counter].append((site, move))
        return {counter: tuple(moves) for counter, moves in found.items()}

    @cached_property
    def rules_of_counter(self) -> Mapping[str, tuple[Rule, ...]]:
        """For each counter, and for `silent`, the rules that explain it."""
        return _grouped((counter, rule) for rule in self.kb.rules.values() for counter in rule.explains)

    @cached_property
    def rules_of_site(self) -> Mapping[str, tuple[Rule, ...]]:
        """For each site the rules whose packets are lost there."""
        return _grouped((site, rule) for rule in self.kb.rules.values() for site in rule.sites)

    @cached_property
    def rules_of_fact(self) -> Mapping[str, tuple[Rule, ...]]:
        """For each fact the rules that look at it."""
        return _grouped(
            (fact, rule) for rule in self.kb.rules.values() for fact in sorted(_facts_of_rule(rule))
        )

    @cached_property
    def rules_of_remedy(self) -> Mapping[str, tuple[Rule, ...]]:
        """For each remedy the rules that offer it."""
        return _grouped((remedy, rule) for rule in self.kb.rules.values() for remedy in rule.remedies)

    @cached_property
    def reproduced(self) -> Mapping[str, set[str]]:
        """For each kernel series the sites that the lab made to happen on it."""
        return reproduced(paths.kb_dir() / "lab" / "results.json")

    @cached_property
    def names(self) -> Mapping[str, tuple[tuple[ToolName, Counter], ...]]:
        """For each tool its names of counters."""
        found: dict[str, list[tuple[ToolName, Counter]]] = defaultdict(list)
        for counter in self.kb.counters.values():
            for name in counter.names:
                found[name.tool].append((name, counter))
        return {tool: tuple(names) for tool, names in found.items()}


def _grouped(pairs: Any) -> dict[str, tuple[Rule, ...]]:  # noqa: ANN401 - any iterable of pairs
    found: dict[str, list[Rule]] = defaultdict(list)
    for key, rule in pairs:
        found[key].append(rule)
    return {key: tuple(rules) for key, rules in found.items()}


def _facts_of_rule(rule: Rule) -> set[str]:
    conditions = (*rule.applies_when, *(test.condition for test in rule.tests))
    return {fact for condition in conditions for fact in model.facts_of(condition)}


def reproduced(results: Path) -> dict[str, set[str]]:
    """Return for each kernel series the sites that the lab made to happen on it.

    Args:
        results: What the lab keeps of its runs, `kb/lab/results.json`; without it nothing is known by kernel.
    """
    found: dict[str, set[str]] = defaultdict(set)
    if results.is_file():
        kept = json.loads(results.read_bytes())
        for scenario in kept.get("scenarios", {}).values():
            for series, run in scenario.get("kernels", {}).items():
                if run.get("made"):
                    found[series] |= set(scenario.get("sites", ()))
    return dict(found)


_loaded: dict[str, Knowledge] = {}


def language_of(configured: str | None) -> str:
    """Return `zh` for any Chinese build and `en` for every other."""
    return "zh" if (configured or "en").startswith("zh") else "en"


def get(app: Sphinx) -> Knowledge:
    """Return the knowledge of a build."""
    language = language_of(cast("str | None", app.config.language))
    if language not in _loaded:
        use(language)
        _loaded[language] = Knowledge(load_kb((), Language(language)), load_lines(paths.kb_dir()), language)
    return _loaded[language]


def setup(app: Sphinx) -> None:
    """Nothing to register: the knowledge is read when it is first asked for."""
    del app
