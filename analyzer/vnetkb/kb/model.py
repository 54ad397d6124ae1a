# SPDX-License-Identifier: Apache-2.0
"""What the knowledge base holds, as typed values that nobody can change.

The YAML documents under `kb/` are read once into these; from there on no reader parses text. In particular a
condition's operand is already in its fact's type and unit, so that an evaluation only compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from vnetkb.kb.reference import Capture, Counter, Site

Value: TypeAlias = bool | int | float | str | frozenset[str]
"""A known value of a fact; a set is a set of names."""


class FactType(StrEnum):
    """The type of a fact's value; `integer` and `number` may have a unit."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    SET = "set"


class Extent(StrEnum):
    """For which moments a fact has values: once for the bundle, for each snapshot or sample."""

    ONCE = "once"
    ENDS = "ends"
    SAMPLES = "samples"


class SpeaksOf(StrEnum):
    """Which lost packets a fact can tell about.

    `now`: those of the time of the bundle. `any_time`: those of before as well. `losses`: those that it was
    measured on.
    """

    NOW = "now"
    ANY_TIME = "any_time"
    LOSSES = "losses"


class Operator(StrEnum):
    """How a test compares a fact's value with its operand."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    ONE_OF = "one_of"
    AT_LEAST = "at_least"
    BELOW = "below"
    CONTAINS = "contains"


class Over(StrEnum):
    """Which values of a fact a test looks at; without one, the overall value."""

    BOTH_ENDS = "both_ends"
    ALL_SAMPLES = "all_samples"
    DROP_SAMPLES = "drop_samples"


class Hold(StrEnum):
    """How many of the values must satisfy the test.

    `all`: true if all do, false if none does, without effect if some do. `any`: true if one does.
    `most`: true if the samples that do hold more than half of the drops.
    """

    ALL = "all"
    ANY = "any"
    MOST = "most"


class Effect(StrEnum):
    """What a test's outcome does to its rule."""

    CONFIRMS = "confirms"
    RULES_OUT = "rules-out"
    SUPPORTS = "supports"
    WEAKENS = "weakens"
    NOTHING = "nothing"


class RuleKind(StrEnum):
    """A cause of loss, a correction of how a number reads, or advice; only causes are candidates."""

    CAUSE = "cause"
    CORRECTION = "correction"
    ADVICE = "advice"


class Rarity(StrEnum):
    """Whether a cause is usual; an unusual one without a supporting fact never lowers a verdict."""

    USUAL = "usual"
    UNUSUAL = "unusual"


class Status(StrEnum):
    """The outcome that a rule's case expects."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    OPEN = "open"
    RULED_OUT = "ruled-out"
    NOT_A_CANDIDATE = "not-a-candidate"


class Harm(StrEnum):
    """Whether a loss matters to somebody."""

    HARMFUL = "harmful"
    WATCH = "watch"
    HARMLESS = "harmless"
    UNKNOWN = "unknown"


class Proof(NamedTuple):
    """What a claim rests on.

    Attributes:
        source: The kernel series (or other program versions) whose source was read, e.g. `5.10`.
        public: Series that were read only in a public copy or through somebody's links, not in a package; `kb
            verify` does not check them.
        lab: Names of lab experiments that showed it.
        field: Where it was seen in the field.
    """

    source: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    lab: tuple[str, ...] = ()
    field: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any proof."""
        return bool(self.source or self.public or self.lab or self.field)


class Fact(NamedTuple):
    """A typed, named value that is computed from captures for one subject.

    Attributes:
        name: `<subject>.<what>`, e.g. `tap.tx_queue_len`.
        type: The type of its value.
        unit: The unit of a number, `None` if it has none.
        over: For which moments it has values.
        doc: What it means.
        captures: The captures it is computed from.
        values: For an enumerated string, each value and what it means; empty if any value may occur.
        speaks_of: Which lost packets it can tell about.
    """

    name: str
    type: FactType
    unit: str | None
    over: tuple[Extent, ...]
    doc: str
    captures: tuple[str, ...]
    values: Mapping[str, str]
    speaks_of: SpeaksOf = SpeaksOf.NOW


class FactOperand(NamedTuple):
    """Another fact's value, times a factor, in the unit of the tested fact.

    Attributes:
        fact: The other fact.
        times: The factor; it includes the conversion from the other fact's unit.
    """

    fact: str
    times: float


Operand: TypeAlias = Value | tuple[Value, ...] | FactOperand
"""What a fact is compared with: a value in its type and unit, several for `one_of`, or another fact."""


@dataclass(frozen=True, slots=True)
class FactTest:
    """One comparison on a fact.

    Attributes:
        fact: The fact's name.
        operator: The comparison.
        operand: What it is compared with, in the fact's type and unit.
        over: Which values are looked at, `None` for the overall value.
        hold: How many of them must satisfy it.
    """

    fact: str
    operator: Operator
    operand: Operand
    over: Over | None = None
    hold: Hold = Hold.ALL
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the hash once: a diagnosis looks outcomes up by their test hundreds of times a subject."""
        key = (self.fact, self.operator, self.operand, self.over, self.hold)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        """Return the hash that was computed."""
        return self._hash


class BehaviourIs(NamedTuple):
    """True where the host's kernel or program has the behaviour (or, with `present` false, has it not)."""

    behaviour: str
    present: bool


class FindingIs(NamedTuple):
    """A test of a finding, only in harm rules.

    Attributes:
        what: `cause` (a rule id; a rule that refines it counts as well), `counter` (its id, or `silent`),
            `state`, `subject` (its kind) or `verdict`.
        values: The values of which one must be the finding's.
    """

    what: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True if all parts are, false if one is not."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True if one part is, false if none is."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True if the part is false and the reverse."""

    part: Condition


Condition: TypeAlias = FactTest | BehaviourIs | FindingIs | AllOf | AnyOf | Not


def leaves(condition: Condition) -> Iterator[FactTest | BehaviourIs | FindingIs]:
    """Yield the single tests that a condition is made of."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition


def facts_of(condition: Condition) -> frozenset[str]:
    """Return the names of the facts that a condition looks at, those it compares with included."""
    names: set[str] = set()
    for leaf in leaves(condition):
        if isinstance(leaf, FactTest):
            names.add(leaf.fact)
            if isinstance(leaf.operand, FactOperand):
                names.add(leaf.operand.fact)
    return frozenset(names)


class RuleTest(NamedTuple):
    """A test of a rule and what its outcome does.

    Attributes:
        condition: What is tested.
        when_true: The effect if it holds.
        when_false: The effect if it does not hold. If it is not known there is no effect.
        required: While it is not known the rule cannot be likely.
        says: What a reader is told when it holds, with `{placeholders}`; `None` for nothing.
        says_false: The same for when it does not hold.
    """

    condition: Condition
    when_true: Effect
    when_false: Effect
    required: bool
    says: str | None
    says_false: str | None


class CaseValue(NamedTuple):
    """A fact's values in a rule's case; a value that is not given or `None` is not known.

    Attributes:
        overall: The overall value.
        ends: The values in the first and the last snapshot; `None` if the case says nothing.
        samples: The values in each sample of the series; `None` if the case says nothing.
        uniform: The case gave one value: it is the overall value, that of each end and of each sample.
    """

    overall: Value | None
    ends: tuple[Value | None, ...] | None = None
    samples: tuple[Value | None, ...] | None = None
    uniform: bool = False


class Case(NamedTuple):
    """An example of a rule's outcome, run by `vnetkb kb test`.

    Attributes:
        name: What the example shows.
        facts: The facts that are known in it.
        behaviours: The behaviours that are known in it, and whether they are present.
        expect: The status that the rule must have.
    """

    name: str
    facts: Mapping[str, CaseValue]
    behaviours: Mapping[str, bool]
    expect: Status


class Rule(NamedTuple):
    """One cause of loss (or a correction, or advice) as data.

    Attributes:
        id: The public, stable name.
        kind: Cause, correction or advice.
        title: One line.
        refines: The more general rule that this one is a case of.
        rarity: Usual or unusual.
        decided_by: What its findings have in common where they are one thing: `vm`, `cpus`, `bridge`, `host`
            or `device`; `None` for that of the rule it refines.
        explains: The counters it can move, or `silent`.
        sites: The code sites where the packets are lost.
        applies_when: Conditions that must all hold for it to be a candidate.
        doc: Why, in terms of the code.
        tests: The evidence it asks for.
        remedies: What can be done.
        limits: What it cannot see.
        proof: What it rests on.
        references: Commits, manual pages, documents.
        cases: Examples of its outcomes.
        area: The folder it lies in.
    """

    id: str
    kind: RuleKind
    title: str
    refines: str | None
    rarity: Rarity
    decided_by: str | None
    explains: tuple[str, ...]
    sites: tuple[str, ...]
    applies_when: tuple[Condition, ...]
    doc: str
    tests: tuple[RuleTest, ...]
    remedies: tuple[str, ...]
    limits: str
    proof: Proof
    references: tuple[str, ...]
    cases: Sequence[Case]
    area: str


class RemedyKind(StrEnum):
    """What carrying out a remedy does: nothing but look, an act that leaves nothing, or a lasting change."""

    LOOK = "look"
    ONCE = "once"
    SETTING = "setting"


class RemedySetting(NamedTuple):
    """A setting that a remedy changes, or looks at.

    Attributes:
        what: The setting, as the middle of a sentence.
        fact: The fact that holds its present value; `None` where no capture shows it.
        look: The command that shows the present value, where the bundle does not.
        propose: What to set.
        because: Why that value.
    """

    what: str
    fact: str | None
    look: str
    propose: str
    because: str


class PlainForm(NamedTuple):
    """The commands of a remedy for a VM that no libvirt knows.

    Attributes:
        command: The command, with `{placeholders}`.
        undo: How to take it back.
    """

    command: str
    undo: str


class Remedy(NamedTuple):
    """What to do about a cause.

    Attributes:
        id: Its name.
        title: One line.
        text: What to do and why it helps.
        command: The command, with `{placeholders}`; `None` if there is none.
        persistent: How to keep it over a restart: by tool (`libvirt`, `udev`, …) a text.
        costs: What it costs.
        helps: How far it helps.
        check: How to see whether it helped.
        undo: How to take it back.
        proof: What it rests on.
        doc: More for the reference, may be empty.
        when: Conditions that must all hold for it to be offered; what is not known does not hold.
        kind: Whether it only looks, acts once or changes a setting; `None` where its author does not say.
        settings: What it changes or looks at, with what is proposed.
        stands_for: For each word in capitals of its commands what the reader puts in its place.
        plain: What takes the place of its commands where `{domain}` is not known; `None` where they stand.
    """

    id: str
    title: str
    text: str
    command: str | None
    persistent: Mapping[str, str]
    costs: str
    helps: str
    check: str
    undo: str
    proof: Proof
    doc: str
    when: tuple[Condition, ...] = ()
    kind: RemedyKind | None = None
    settings: tuple[RemedySetting, ...] = ()
    stands_for: Mapping[str, str] = {}
    plain: PlainForm | None = None


class HarmRule(NamedTuple):
    """One line of the harm table; the first whose conditions all hold decides.

    Attributes:
        id: Its name.
        harm: The answer.
        when: Conditions that must all hold.
        reason: What the reader is told, with `{fact}` placeholders.
        doc: More for the reference, may be empty.
    """

    id: str
    harm: Harm
    when: tuple[Condition, ...]
    reason: str
    doc: str


class WatchedCounter(NamedTuple):
    """A counter whose movement is a symptom.

    Attributes:
        counter: The counter's id.
        subject: The kind of subject that a finding on it is about.
        called: What a reader is told that it is, with both directions.
        passed: Counters of the same subject whose sum counts what was not lost; empty if nothing counts that.
        share_of: What the lost and the passed are together, in words; `None` without the latter.
        doc: More for the reference, may be empty.
        passed_holds_lost: Whether the lost are counted in `passed` as well.
        metrics: What node_exporter calls the counter, and the sum of `passed`; empty where it shows them not.
        unless_equals: Counters of the same subject; where one of them moved by the same number, that one is
            the finding and this is the same stored number under another name.
    """

    counter: str
    subject: str
    called: str
    passed: tuple[str, ...]
    share_of: str | None
    doc: str
    passed_holds_lost: bool = False
    unless_equals: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


class Unwatched(NamedTuple):
    """Counters of loss that are never a symptom, and why.

    Attributes:
        id: Its name.
        counters: The counters.
        why: Which finding tells of such a loss instead, or why it is none.
    """

    id: str
    counters: tuple[str, ...]
    why: str


class Levels(NamedTuple):
    """Numbers that are captured like counters and count nothing.

    Attributes:
        id: Its name.
        counters: The numbers, by the ids that counters have; not all have an entry in the reference.
        why: What they are instead.
    """

    id: str
    counters: tuple[str, ...]
    why: str


class VersionRange(NamedTuple):
    """Versions of one tree for which it is known whether a behaviour is there.

    Attributes:
        start: The first version, `None` for any before.
        below: The first version after the range, `None` for any after.
        present: Whether it is there.
        proof: What this rests on.
    """

    start: tuple[int, ...] | None
    below: tuple[int, ...] | None
    present: bool
    proof: Proof


class Behaviour(NamedTuple):
    """Something that kernels or programs differ in.

    Attributes:
        id: Its name.
        title: One line that is true where it is present.
        doc: What follows from it.
        feature: The test that finds it in a bundle; `None` if there is none.
        program: Whose versions the ranges are: `kernel` or a program.
        ranges: By tree family, what is known; gaps are unknown.
        proof: What this rests on.
    """

    id: str
    title: str
    doc: str
    feature: Condition | None
    program: str
    ranges: Mapping[str, tuple[VersionRange, ...]]
    proof: Proof


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """Everything that vnetkb knows, by id.

    Attributes:
        captures: By id.
        counters: By id.
        sites: By id.
        behaviours: By id.
        facts: By name.
        rules: By id.
        remedies: By id.
        harm: In the order in which they are tried.
        symptoms: The counters whose movement is a finding, by counter id.
        unwatched: The counters of loss that are no symptom, by group.
        levels: The numbers whose difference means nothing, by group.
        origins: For each (kind, id) the document that it came from, e.g. `rules/tap/tap-ring-full.yaml`.
        added: The (kind, id) of what overlays brought or replaced; the published reference does not tell it.
    """

    captures: Mapping[str, Capture]
    counters: Mapping[str, Counter]
    sites: Mapping[str, Site]
    behaviours: Mapping[str, Behaviour]
    facts: Mapping[str, Fact]
    rules: Mapping[str, Rule]
    remedies: Mapping[str, Remedy]
    harm: tuple[HarmRule, ...]
    symptoms: Mapping[str, WatchedCounter]
    unwatched: Mapping[str, Unwatched]
    levels: Mapping[str, Levels]
    origins: Mapping[tuple[str, str], str]
    _children: Mapping[str, tuple[str, ...]] = field(repr=False)
    _ancestors: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    _causes: dict[str, tuple[Rule, ...]] = field(default_factory=dict, repr=False, compare=False)
    added: Collection[tuple[str, str]] = ()

    def causes(self, explained: str) -> tuple[Rule, ...]:
        """Return the causes that explain a counter (or ``silent`` loss), each after those that it refines."""
        if explained not in self._causes:
            found = [
                rule
                for rule in self.rules.values()
                if rule.kind is RuleKind.CAUSE and explained in rule.explains
            ]
            found.sort(key=lambda rule: (len(self.ancestors(rule.id)), rule.id))
            self._causes[explained] = tuple(found)
        return self._causes[explained]

    def ancestors(self, rule_id: str) -> tuple[str, ...]:
        """Return the rules that a rule refines, the nearest first."""
        known = self._ancestors.get(rule_id)
        if known is None:
            known = self._ancestors[rule_id] = self._chain(rule_id)
        return known

    def _chain(self, rule_id: str) -> tuple[str, ...]:
        found: list[str] = []
        parent = self.rules[rule_id].refines
        while parent is not None:
            found.append(parent)
            parent = self.rules[parent].refines
        return tuple(found)

    def refinements(self, rule_id: str) -> tuple[str, ...]:
        """Return the rules that directly refine a rule."""
        return self._children.get(rule_id, ())
