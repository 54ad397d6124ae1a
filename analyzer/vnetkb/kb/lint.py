# SPDX-License-Identifier: Apache-2.0
"""Finds what is wrong in a knowledge base: shape, references, types and units, rules that cannot work.

Unlike loading, which ends at the first problem, lint tells all of them, each with file and place.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vnetkb import paths
from vnetkb.errors import KnowledgeFault
from vnetkb.kb import kernels, load, model, read, strict_yaml, walkthrough
from vnetkb.kb.read import Problem
from vnetkb.language import Language

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from vnetkb.kb.read import Place
    from vnetkb.kb.reference import Site


class FaultCode(StrEnum):
    """What can be wrong."""

    LAYOUT = "layout"
    YAML = "yaml"
    SCHEMA = "schema"
    DUPLICATE = "duplicate"
    FILE_NAME = "file-name"
    UNKNOWN_FACT = "unknown-fact"
    UNKNOWN_SITE = "unknown-site"
    UNKNOWN_COUNTER = "unknown-counter"
    UNKNOWN_REMEDY = "unknown-remedy"
    REMEDY_KIND = "remedy-kind"
    UNKNOWN_CAPTURE = "unknown-capture"
    UNKNOWN_BEHAVIOUR = "unknown-behaviour"
    UNKNOWN_CAUSE = "unknown-cause"
    REFINES = "refines"
    TYPE = "type"
    UNIT = "unit"
    VALUE = "value"
    OPERATOR = "operator"
    EXTENT = "extent"
    PLACEHOLDER = "placeholder"
    UNREACHABLE = "unreachable"
    CASES = "cases"
    PROOF = "proof"
    EXPLAINS = "explains"
    SITE_WITHOUT_RULE = "site-without-rule"
    KERNELS = "kernels"
    FEATURE = "feature"
    UNUSED = "unused"
    UNWATCHED = "unwatched"
    WALKTHROUGH = "walkthrough"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        code: Its kind.
        file: The document, below the knowledge base folder; of an overlay the whole path.
        path: The place in the document, `tests[2].equals`; empty for the whole of it.
        text: What was found and what was expected.
    """

    code: FaultCode
    file: str
    path: str
    text: str

    def __str__(self) -> str:
        """Return the fault as one line."""
        place = f"{self.file}: {self.path}" if self.path else self.file
        return f"{place}: {self.text} [{self.code}]"


SCHEMA_OF: Mapping[str, str] = {kind: "rule" if kind == "rules" else kind for kind in load.KINDS}
"""For each kind of document the name of its JSON Schema."""

PLACEHOLDERS = frozenset(
    {
        "bridge",
        "device",
        "domain",
        "host",
        "loss",
        "master",
        "offered",
        "pid",
        "process",
        "rule",
        "tap",
        "threads",
        "txqueuelen",
        "value",
        "vm",
    }
)
"""What texts may name in braces besides facts; `vnetkb.facts` has a value for each."""

MAY_BE_UNKNOWN = frozenset({"BRIDGE", "DOMAIN", "PID"})
"""Words of commands that not every subject has: where one is not known its name in capitals stays."""

DEVICE_KINDS = (
    "bond",
    "bridge",
    "macvtap",
    "netdev",
    "nic",
    "ovs_internal",
    "tap",
    "veth",
    "virtio_net",
    "vlan",
)
"""Kinds of counters that are kinds of network device: what moves `netdev.rx_dropped` moves that of any."""

_NEWEST_UPDATE = 9999
_CONFIRMED = frozenset({model.Status.CONFIRMED, model.Status.LIKELY})
_SAID = frozenset(
    {model.Effect.CONFIRMS, model.Effect.RULES_OUT, model.Effect.SUPPORTS, model.Effect.WEAKENS}
)
_PLACEHOLDER = re.compile(r"(?<![A-Z])\{([a-z][a-z0-9_.]*)\}")
_PLACE_PART = re.compile(r"\[(\d+)\]|([^.\[]+)")


def lint_kb(folder: Path | None = None, overlays: Sequence[Path] = ()) -> list[Fault]:
    """Return everything that is wrong in a knowledge base folder with its overlays, file by file.

    Args:
        folder: The folder; without one, vnetkb's own.
        overlays: Folders whose items replace the folder's or are added.
    """
    faults: list[Fault] = []
    documents: list[load.Document] = []
    for each in overlays:
        wrong = load.layout_fault(each)
        if wrong is not None:
            faults.append(Fault(FaultCode.LAYOUT, str(each), "", wrong))
    for place, overlay in ((folder or paths.kb_dir(), None), *((each, each) for each in overlays)):
        for path in load.documents_below(place):
            try:
                data = strict_yaml.parse((place / path).read_text(encoding="utf-8"))
            except (strict_yaml.YamlError, OSError, UnicodeDecodeError) as fault:
                file = path if overlay is None else str(place / path)
                faults.append(Fault(FaultCode.YAML, file, "", str(fault)))
            else:
                documents.append(load.Document(path, data, overlay))
    faults += lint_documents(documents)
    faults += _chapter_faults(folder or paths.kb_dir(), documents)
    # a schema tells each property that is missing apart, and one line names them all
    return sorted(set(faults), key=lambda fault: (fault.file, _sortable(fault.path), fault.code, fault.text))


def load_with(overlays: Sequence[Path], language: Language = Language.ENGLISH) -> model.KnowledgeBase:
    """Return the knowledge base with overlays, each held against everything that lint knows.

    Raises:
        KnowledgeFault: An overlay is no knowledge base, or something in it is wrong (exit status 3).
    """
    for overlay in overlays:
        list(load.read_folder(overlay, overlay=overlay))
    faults = lint_kb(None, overlays)
    if faults:
        ours = tuple(f"{overlay}{os.sep}" for overlay in overlays)
        # Whatever is wrong elsewhere is wrong because of an overlay: without one there is no fault.
        # A test that could not be read is missing: that its rule then seems to have none is no news.
        first = min(faults, key=lambda f: (not f.file.startswith(ours), f.code is FaultCode.UNREACHABLE))
        more = f"; {len(faults) - 1} more, vnetkb kb lint tells all" if len(faults) > 1 else ""
        raise KnowledgeFault(f"{first}{more}", overlay=True)
    return load.load_kb(overlays, language)


def lint_documents(documents: Sequence[load.Document]) -> list[Fault]:
    """Return everything that is wrong in a knowledge base of these documents."""
    faults = [fault for document in documents for fault in _schema_faults(document)]
    broken = {fault.file for fault in faults}
    kb, problems = load.build(documents)
    for each in problems:
        file = str(each.document)
        # What the schema has told already need not be told again in other words.
        if each.problem.code != FaultCode.SCHEMA or file not in broken:
            faults.append(_fault(file, each.problem))
    check = _Check(kb, faults)
    for check_one in (
        check.facts,
        check.counters,
        check.sites,
        check.behaviours,
        check.rules,
        check.remedies,
        check.harm,
        check.symptoms,
        check.watched,
    ):
        check_one()
    check.reach()
    check.used()
    # What is not as the schema has it was read wrong: what else seems wrong in that document is no news.
    return [fault for fault in faults if fault.file not in broken or fault.code is FaultCode.SCHEMA]


def _chapter_faults(folder: Path, documents: Sequence[load.Document]) -> Iterator[Fault]:
    """Yield what the walk-through says of items and code that are not there."""
    chapters = walkthrough.read_chapters(folder)
    if not chapters:
        return
    kb, _ = load.build(documents)
    for fault in walkthrough.check(chapters, kb):
        file = f"{walkthrough.FOLDER}/{fault.where.chapter}"
        yield Fault(FaultCode.WALKTHROUGH, file, f"line {fault.where.line}", f"{fault.text} ({fault.code})")


class _Check:
    def __init__(self, kb: model.KnowledgeBase, faults: list[Fault]) -> None:
        self._kb = kb
        self._faults = faults
        self._names: Mapping[str, Collection[str]] = {
            "behaviour": kb.behaviours,
            "capture": kb.captures,
            "cause": {rule.id for rule in kb.rules.values() if _is_cause(rule)},
            "counter": kb.counters,
            "fact": kb.facts,
            "remedy": kb.remedies,
            "site": kb.sites,
        }

    def facts(self) -> None:
        if not self._kb.captures:
            return
        for fact in self._kb.facts.values():
            self._known("capture", fact.captures, "facts", fact.name, "captures")

    def counters(self) -> None:
        for counter in self._kb.counters.values():
            self._known("counter", counter.related, "counters", counter.id, "related")

    def sites(self) -> None:
        for site in self._kb.sites.values():
            counters = [move.counter for move in site.moves]
            self._known("counter", counters, "sites", site.id, "moves")
            behaviours = [each.behaviour for each in site.behaviours]
            self._known("behaviour", behaviours, "sites", site.id, "behaviours")
            self._conditions("sites", site.id, site.applies_when, ("applies_when",))
            self._site_name(site)
            self._site_kernels(site)

    def behaviours(self) -> None:
        for behaviour in self._kb.behaviours.values():
            feature = behaviour.feature
            if feature is not None and not (
                isinstance(feature, model.FactTest)
                and feature.operator is model.Operator.EQUALS
                and not isinstance(feature.operand, model.FactOperand)
                and feature.over is None
            ):
                text = (
                    "expected one comparison of one fact with equals: it is asked before any subject is known"
                )
                self._add(FaultCode.FEATURE, "behaviours", behaviour.id, ("feature",), text)
            for tree, spans in behaviour.ranges.items():
                self._spans(behaviour, tree, spans)

    def rules(self) -> None:
        for rule in self._kb.rules.values():
            self._rule_references(rule)
            self._rule_tests(rule)
            self._rule_cases(rule)
            stem = PurePosixPath(self._kb.origins["rules", rule.id]).stem
            if stem != rule.id:
                self._add(
                    FaultCode.FILE_NAME, "rules", rule.id, ("id",), f"the file is named {stem}, not {rule.id}"
                )

    def harm(self) -> None:
        for line in self._kb.harm:
            self._conditions("harm", line.id, line.when, ("when",))
            self._placeholders("harm", line.id, line.reason, ("reason",))
            for condition in line.when:
                for leaf in model.leaves(condition):
                    if isinstance(leaf, model.FindingIs) and leaf.what in {"cause", "counter"}:
                        names = sorted(leaf.values - {"silent"})
                        self._known(leaf.what, names, "harm", line.id, "when")

    def symptoms(self) -> None:
        for watched in self._kb.symptoms.values():
            named = [watched.counter, *watched.passed, *watched.unless_equals]
            self._known("counter", named, "symptoms", watched.counter, "counter")
            if bool(watched.passed) != (watched.share_of is not None):
                text = "expected share_of with passed, and null without"
                self._add(FaultCode.VALUE, "symptoms", watched.counter, ("share_of",), text)

    def watched(self) -> None:
        """Report counters of loss that are neither a symptom nor said to be none."""
        if not self._kb.symptoms:
            return
        held: set[str] = set()
        for group in self._kb.unwatched.values():
            self._known("counter", group.counters, "unwatched", group.id, "counters")
            for counter in group.counters:
                if counter in held or counter in self._kb.symptoms:
                    text = f"{counter} is a symptom, or is named twice"
                    self._add(FaultCode.UNWATCHED, "unwatched", group.id, ("counters",), text)
            held |= set(group.counters)
        for one in self._kb.counters.values():
            if one.is_loss and one.id not in self._kb.symptoms and one.id not in held:
                text = "it counts losses, and neither symptoms.yaml nor unwatched.yaml names it"
                self._add(FaultCode.UNWATCHED, "counters", one.id, (), text)

    def remedies(self) -> None:
        """Check the placeholders of what a reader may paste, and that a remedy is what it says it is."""
        for remedy in self._kb.remedies.values():
            if remedy.kind is model.RemedyKind.SETTING and not remedy.persistent:
                text = "a setting needs its persistent form; one that only looks is kind: look"
                self._add(FaultCode.REMEDY_KIND, "remedies", remedy.id, ("persistent",), text)
            if remedy.kind is not model.RemedyKind.SETTING and remedy.kind is not None and remedy.persistent:
                text = f"what is kind: {remedy.kind} has nothing to keep; a setting is kind: setting"
                self._add(FaultCode.REMEDY_KIND, "remedies", remedy.id, ("persistent",), text)
            self._remedy_texts(remedy)

    def _remedy_texts(self, remedy: model.Remedy) -> None:
        """Check what a remedy's texts name: facts and words that exist, capitals that are explained."""
        commands = {"command": remedy.command or "", "undo": remedy.undo}
        if remedy.plain is not None:
            commands |= {"plain.command": remedy.plain.command, "plain.undo": remedy.plain.undo}
        commands |= {f"persistent.{tool}": text for tool, text in remedy.persistent.items()}
        for key, text in {"text": remedy.text, "check": remedy.check, **commands}.items():
            self._placeholders("remedies", remedy.id, text, (key,))
        for at, one in enumerate(remedy.settings):
            for key in ("what", "look", "propose", "because"):
                self._placeholders("remedies", remedy.id, getattr(one, key), ("settings", at, key))
            self._known("fact", [one.fact] if one.fact else [], "remedies", remedy.id, "settings", at)
            commands[f"settings[{at}].look"] = one.look
        for key, text in commands.items():
            left = {name: name.rpartition(".")[2].upper() for name in _PLACEHOLDER.findall(text)}
            unknown = {
                word for name, word in left.items() if name in self._kb.facts or word in MAY_BE_UNKNOWN
            }
            for word in sorted(unknown - set(remedy.stands_for)):
                said = f"it may be unknown: stands_for has to say what {word} is"
                self._add(FaultCode.PLACEHOLDER, "remedies", remedy.id, (key,), said)

    def reach(self) -> None:
        """Report the sites that move a watched counter and that no cause can name on some kernel.

        Watched are the symptoms and whatever a cause explains. A cause that needs a behaviour which a kernel
        series lacks cannot name a site there.
        """
        causes = [rule for rule in self._kb.rules.values() if _is_cause(rule)]
        watched = {counter for rule in causes for counter in rule.explains} | set(self._kb.symptoms)
        for counter in sorted(watched & set(self._kb.counters)):
            if not self._is_loss(counter):
                continue
            for site, shown in self._movers(counter):
                naming = [rule for rule in causes if counter in rule.explains and site.id in rule.sites]
                lacking = [
                    series
                    for series in shown
                    if not any(self._may_apply(rule, series) is not False for rule in naming)
                ]
                if lacking:
                    where = "" if len(lacking) == len(shown) else f" in {', '.join(lacking)}"
                    text = f"it moves {counter}{where}, and no cause that explains that names it"
                    self._add(FaultCode.SITE_WITHOUT_RULE, "sites", site.id, (), text)

    def _movers(self, counter: str) -> list[tuple[Site, tuple[str, ...]]]:
        """Return the sites that move a counter, with the kernel series in which it shows.

        Of a kind of device that has no sites of its own for a statistic: those of any network device.
        """
        found = self._movers_of(counter)
        kind, _, field = counter.partition(".")
        return found or (self._movers_of(f"netdev.{field}") if kind in DEVICE_KINDS else [])

    def _movers_of(self, counter: str) -> list[tuple[Site, tuple[str, ...]]]:
        return [
            (site, move.shown)
            for site in self._kb.sites.values()
            for move in site.moves
            if move.counter == counter and move.shown
        ]

    def _may_apply(self, rule: model.Rule, series: str) -> bool | None:
        """Tell whether a kernel series' behaviours let a rule apply; None where they do not decide it."""
        return _every(self._truth(condition, series) for condition in rule.applies_when)

    def _truth(self, condition: model.Condition, series: str) -> bool | None:
        match condition:
            case model.AllOf(parts):
                return _every(self._truth(part, series) for part in parts)
            case model.AnyOf(parts):
                none = _every(self._truth(model.Not(part), series) for part in parts)
                return None if none is None else not none
            case model.Not(part):
                inner = self._truth(part, series)
                return None if inner is None else not inner
            case model.BehaviourIs(name, present):
                behaviour = self._kb.behaviours.get(name)
                if behaviour is None or behaviour.program != "kernel":
                    return None
                newest = (*kernels.numbers(series), _NEWEST_UPDATE)
                known = kernels.in_ranges(behaviour, "upstream", newest)
                return None if known is None else known is present
            case _:
                return None

    def used(self) -> None:
        """Report remedies that no rule names."""
        named = {remedy for rule in self._kb.rules.values() for remedy in rule.remedies}
        for remedy in self._kb.remedies:
            if remedy not in named:
                self._add(FaultCode.UNUSED, "remedies", remedy, (), "no rule names it")

    def _is_loss(self, counter: str) -> bool:
        return counter in self._kb.counters and self._kb.counters[counter].is_loss

    def _site_name(self, site: Site) -> None:
        function = site.id.split(".")[1]
        if function != site.function:
            text = f"its id names {function}(), its function is {site.function}()"
            self._add(FaultCode.FILE_NAME, "sites", site.id, ("id",), text)

    def _site_kernels(self, site: Site) -> None:
        kernels = set(site.kernels)
        used = {series for cited in site.statement for series in cited.kernels}
        used |= {series for reason in site.reasons for series in reason.kernels}
        used |= {series for move in site.moves for cited in move.statement for series in cited.kernels}
        used |= {series for move in site.moves for series in (*move.kernels, *move.shown)}
        used |= set(site.silent_kernels)
        for series in sorted(used - kernels):
            self._add(FaultCode.KERNELS, "sites", site.id, (), f"{series} is not among its kernels")
        for series in sorted(set(site.since) - kernels):
            self._add(FaultCode.KERNELS, "sites", site.id, ("since",), f"{series} is not among its kernels")
        covered = {series for cited in site.statement for series in cited.kernels or site.kernels}
        for series in sorted(kernels - covered):
            self._add(FaultCode.KERNELS, "sites", site.id, ("statement",), f"no statement for {series}")
        shown = {series for move in site.moves for series in move.shown}
        for series in sorted(kernels & shown & set(site.silent_kernels)):
            self._add(
                FaultCode.KERNELS, "sites", site.id, ("silent",), f"{series} is silent, yet a counter moves"
            )
        for series in sorted(kernels - shown - set(site.silent_kernels)):
            text = f"it neither moves a counter nor is silent in {series}"
            self._add(FaultCode.KERNELS, "sites", site.id, ("silent",), text)
        proven = {*site.proof.source, *site.proof.public}
        for series in sorted(kernels - {_series(version) for version in proven}):
            self._add(FaultCode.PROOF, "sites", site.id, ("proof",), f"{series} was not read")

    def _spans(self, behaviour: model.Behaviour, tree: str, spans: Sequence[model.VersionRange]) -> None:
        for index, span in enumerate(spans):
            where = ("ranges", tree, index)
            if not span.proof:
                self._add(FaultCode.PROOF, "behaviours", behaviour.id, where, "a range without proof")
            if span.start is not None and span.below is not None and span.start >= span.below:
                self._add(FaultCode.VALUE, "behaviours", behaviour.id, where, "the range is empty")
            for other in spans[:index]:
                if _overlap(span, other):
                    self._add(FaultCode.VALUE, "behaviours", behaviour.id, where, "two ranges overlap")

    def _rule_references(self, rule: model.Rule) -> None:
        self._known("site", rule.sites, "rules", rule.id, "sites")
        self._known("remedy", rule.remedies, "rules", rule.id, "remedies")
        counters = [counter for counter in rule.explains if counter != "silent"]
        self._known("counter", counters, "rules", rule.id, "explains")
        for case in rule.cases:
            self._known("behaviour", case.behaviours, "rules", rule.id, "cases")
        if _is_cause(rule) and not rule.explains:
            self._add(FaultCode.EXPLAINS, "rules", rule.id, ("explains",), "a cause that explains no counter")
        for name in rule.sites if _is_cause(rule) else ():
            site = self._kb.sites.get(name)
            if site is None:
                continue
            possible = {move.counter for move in site.moves if move.shown}
            for counter in tuple(possible):
                kind, _, field = counter.partition(".")
                possible |= {f"{each}.{field}" for each in DEVICE_KINDS} if kind == "netdev" else set()
            possible |= {"silent"} if site.silent else set()
            if not possible & set(rule.explains):
                moved = ", ".join(sorted(possible)) or "nothing"
                text = f"{name} moves {moved}, none of which the rule explains"
                self._add(FaultCode.EXPLAINS, "rules", rule.id, ("explains",), text)

    def _rule_tests(self, rule: model.Rule) -> None:
        self._conditions("rules", rule.id, rule.applies_when, ("applies_when",))
        for index, test in enumerate(rule.tests):
            where = ("tests", index)
            self._conditions("rules", rule.id, (test.condition,), where)
            if test.when_true not in _SAID and test.when_false not in _SAID:
                text = "neither outcome has an effect: the test can be left out"
                self._add(FaultCode.UNREACHABLE, "rules", rule.id, where, text)
            for effect, says, key in (
                (test.when_true, test.says, "says"),
                (test.when_false, test.says_false, "says_false"),
            ):
                if says is not None:
                    self._placeholders("rules", rule.id, says, (*where, key))
                if says is not None and effect not in _SAID and key == "says_false":
                    text = f"{key} is never shown: that outcome has no effect"
                    self._add(FaultCode.UNREACHABLE, "rules", rule.id, where, text)
            self._contradiction(rule, index, test)
        confirms = any(model.Effect.CONFIRMS in {test.when_true, test.when_false} for test in rule.tests)
        if confirms and not rule.proof:
            self._add(FaultCode.PROOF, "rules", rule.id, ("proof",), "it confirms and has no proof")
        if _is_cause(rule) and not rule.tests:
            self._add(
                FaultCode.UNREACHABLE, "rules", rule.id, ("tests",), "a cause without tests can never be told"
            )

    def _contradiction(self, rule: model.Rule, index: int, test: model.RuleTest) -> None:
        """Report an `all` with two equals on one fact, or an empty range of one: it can never hold."""
        if not isinstance(test.condition, model.AllOf):
            return
        wanted: dict[tuple[str, model.Over | None], object] = {}
        for part in test.condition.parts:
            if isinstance(part, model.FactTest) and part.operator is model.Operator.EQUALS:
                key = (part.fact, part.over)
                if key in wanted and wanted[key] != part.operand:
                    text = f"{part.fact} cannot have two values at once"
                    self._add(FaultCode.UNREACHABLE, "rules", rule.id, ("tests", index), text)
                wanted[key] = part.operand

    def _rule_cases(self, rule: model.Rule) -> None:
        if not _is_cause(rule):
            return
        expected = {case.expect for case in rule.cases}
        for wanted, name in (
            (_CONFIRMED, "confirmed or likely"),
            ({model.Status.RULED_OUT}, "ruled-out"),
            ({model.Status.OPEN}, "open"),
        ):
            if not expected & wanted:
                self._add(FaultCode.CASES, "rules", rule.id, ("cases",), f"no case expects {name}")
        names = [case.name for case in rule.cases]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._add(FaultCode.CASES, "rules", rule.id, ("cases",), f"two cases are named {name!r}")

    def _conditions(self, kind: str, name: str, conditions: Iterable[model.Condition], where: Place) -> None:
        for condition in conditions:
            for leaf in model.leaves(condition):
                if isinstance(leaf, model.BehaviourIs):
                    self._known("behaviour", (leaf.behaviour,), kind, name, *where)
                if isinstance(leaf, model.FactTest) and leaf.over is None and leaf.hold is not model.Hold.ALL:
                    text = f"{leaf.fact}: hold without over looks at one value only"
                    self._add(FaultCode.UNREACHABLE, kind, name, where, text)

    def _placeholders(self, kind: str, name: str, text: str, where: Place) -> None:
        used = set(_PLACEHOLDER.findall(text))
        for field in sorted(used - PLACEHOLDERS - set(self._kb.facts)):
            self._add(
                FaultCode.PLACEHOLDER, kind, name, where, f"there is neither a fact nor a word {{{field}}}"
            )

    def _known(self, what: str, wanted: Iterable[str], kind: str, name: str, *where: str | int) -> None:
        """Report the references of an item (kind, name) that lead nowhere; `what` is what they should be."""
        known = self._names[what]
        for each in wanted:
            if each not in known:
                code = FaultCode(f"unknown-{what}")
                self._add(code, kind, name, where, f"there is no {what} {each!r}")

    def _add(self, code: FaultCode, kind: str, name: str, where: Place, text: str) -> None:
        in_list = kind != "rules"
        message = f"{name}: {text}" if in_list else text
        self._faults.append(_fault(self._kb.origins[kind, name], Problem(code, where, message)))


def _schema_faults(document: load.Document) -> Iterator[Fault]:
    validator = _validators()[document.kind]
    for error in validator.iter_errors(document.data):
        yield from _readable(str(document), error)


def _readable(file: str, error: ValidationError) -> Iterator[Fault]:
    """Yield a schema error; of alternatives those of the only one whose type the value has."""
    alternatives: dict[object, list[ValidationError]] = {}
    for each in error.context or ():
        alternatives.setdefault(each.schema_path[0], []).append(each)
    fitting = [
        errors
        for errors in alternatives.values()
        if not any(each.validator in {"type", "const"} and not each.path for each in errors)
    ]
    if error.validator == "anyOf" and len(fitting) == 1:
        for each in fitting[0]:
            yield from _readable(file, each)
        return
    if error.validator == "oneOf":
        required: list[Any] = list(error.schema["oneOf"])  # type: ignore[index]
        choices = [" and ".join(each["required"]) for each in required if "required" in each]
        text = f"expected exactly one of {', '.join(choices)}" if choices else error.message
    else:
        text = _schema_text(error)
    yield _fault(file, Problem(FaultCode.SCHEMA, tuple(error.absolute_path), text))


_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "nothing",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


def _schema_text(error: ValidationError) -> str:
    """Return a schema error in the words of YAML; jsonschema's own show how Python writes what it found."""
    found: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            types = [wanted] if isinstance(wanted, str) else list(wanted)
            return f"found {read.kind(found)}, expected {' or '.join(_TYPES[each] for each in types)}"
        case "enum" | "const":
            choices = wanted if error.validator == "enum" else [wanted]
            expected = ", ".join("null" if each is None else str(each) for each in choices)
            return f"found {read.kind_and_value(found)}, expected one of {expected}"
        case "required":
            return ", ".join(f"{name} is missing" for name in wanted if name not in found)
        case "additionalProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            extra = ", ".join(str(name) for name in found if name not in known)
            return f"there is no {extra} here, only {', '.join(known)}"
        case "minLength" | "minItems" | "minProperties":
            return "is empty"
        case _:
            return error.message if isinstance(found, str | int | float) else f"found {read.kind(found)}"


@lru_cache(maxsize=1)
def _validators() -> Mapping[str, Validator]:
    """Return a validator for each kind of document; only lint needs jsonschema, whose import takes 90 ms."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry, Resource  # noqa: PLC0415

    schemas = {
        name: json.loads((paths.schemas_dir() / f"{name}.schema.json").read_bytes())
        for name in {"common", *SCHEMA_OF.values()}
    }
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()
    )
    return {kind: Draft202012Validator(schemas[name], registry=registry) for kind, name in SCHEMA_OF.items()}


def _fault(file: str, problem: Problem) -> Fault:
    place = load.place_text(problem.place).removesuffix(": ")
    return Fault(FaultCode(problem.code), file, place, problem.text)


def _is_cause(rule: model.Rule) -> bool:
    return rule.kind is model.RuleKind.CAUSE


def _every(truths: Iterable[bool | None]) -> bool | None:
    known = list(truths)
    if False in known:
        return False
    return None if None in known else True


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _overlap(one: model.VersionRange, other: model.VersionRange) -> bool:
    starts_before = other.below is None or one.start is None or one.start < other.below
    ends_after = one.below is None or other.start is None or other.start < one.below
    return starts_before and ends_after


def _sortable(path: str) -> list[tuple[int, str]]:
    """Return a place such that tests[10] comes after tests[9]."""
    return [(int(number or 0), name) for number, name in _PLACE_PART.findall(path)]
