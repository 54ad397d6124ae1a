# SPDX-License-Identifier: Apache-2.0
"""From the data of a document to the typed values of `vnetkb.kb.model`.

Here units are converted and conditions are parsed, once. What cannot be read becomes a `Problem` with its
place; the rest of the document is read all the same, so that lint can tell everything at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, overload

from vnetkb.kb import model, units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vnetkb.kb.strict_yaml import Data

Place: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the top of a document."""

_Item = TypeVar("_Item")

_COMBINATIONS = ("all", "any", "not")
_FINDING_TESTS = ("cause", "counter", "state", "subject", "verdict")
_EVERYWHERE_KEYS = frozenset({"value", "ends", "samples"})


class Problem(NamedTuple):
    """Something in a document that cannot be read.

    Attributes:
        code: The kind of problem, as in `vnetkb.kb.lint.FaultCode`.
        place: Where in the document.
        text: What was found and what was expected.
    """

    code: str
    place: Place
    text: str


class Unreadable(Exception):
    """Ends the reading of one item."""

    def __init__(self, code: str, place: Place, text: str) -> None:
        """Keep the problem."""
        super().__init__(text)
        self.problem = Problem(code, place, text)


class Reader:
    """Reads the items of one document; `problems` holds what could not be read."""

    def __init__(
        self,
        facts: Mapping[str, model.Fact],
        problems: list[Problem],
        *,
        after_cases: Callable[[], None] | None = None,
    ) -> None:
        """Read conditions against `facts`, and add to `problems`.

        With `after_cases` rules' cases are read on first use, and it is called then.
        """
        self._facts = facts
        self._problems = problems
        self._after_cases = after_cases

    def items(
        self, data: Data, top: str, read: Callable[[Reader, dict[str, Any], Place], _Item]
    ) -> list[tuple[_Item, Place]]:
        """Return what `read` makes of each item of the list `top`, with its place."""
        if not isinstance(data, dict) or not isinstance(data.get(top), list):
            self._problems.append(Problem("schema", (), f"found no list {top!r}"))
            return []
        found: list[tuple[_Item, Place]] = []
        for index, raw in enumerate(data[top]):
            item = self.item(raw, (top, index), read)
            if item is not None:
                found.append((item, (top, index)))
        return found

    def item(
        self, raw: Data, place: Place, read: Callable[[Reader, dict[str, Any], Place], _Item]
    ) -> _Item | None:
        """Return what `read` makes of one item, `None` if it cannot be read at all."""
        try:
            return read(self, _mapping(raw, place), place)
        except Unreadable as fault:
            self._problems.append(fault.problem)
        except KeyError as fault:
            self._problems.append(Problem("schema", place, f"{fault.args[0]!r} is missing"))
        except (AttributeError, TypeError, ValueError) as fault:
            self._problems.append(Problem("schema", place, f"wrong shape: {fault}"))
        return None

    def condition(self, raw: Data, place: Place) -> model.Condition:
        """Return one condition.

        Raises:
            Unreadable: It is not a condition, or its operand does not fit its fact.
        """
        raw = _mapping(raw, place)
        for word in _COMBINATIONS:
            if word in raw:
                return self._combination(word, raw, place)
        if "behaviour" in raw:
            return model.BehaviourIs(raw["behaviour"], raw.get("present", True))
        for word in _FINDING_TESTS:
            if word in raw:
                return _finding_test(word, raw[word], (*place, word))
        if "fact" in raw:
            return self._fact_test(raw, place)
        raise Unreadable("schema", place, "found no fact, behaviour, all, any or not")

    def conditions(self, raw: Iterable[Data], place: Place) -> tuple[model.Condition, ...]:
        """Return several conditions; those that cannot be read become problems."""
        found = []
        for index, part in enumerate(raw):
            try:
                found.append(self.condition(part, (*place, index)))
            except Unreadable as fault:
                self._problems.append(fault.problem)
        return tuple(found)

    def value(self, fact: model.Fact, raw: Data, place: Place) -> model.Value:
        """Return a literal in a fact's type and unit.

        Raises:
            Unreadable: It is of another type or unit, or none of the fact's values.
        """
        match fact.type:
            case model.FactType.BOOLEAN:
                if isinstance(raw, bool):
                    return raw
            case model.FactType.INTEGER | model.FactType.NUMBER:
                return _number(fact, raw, place)
            case model.FactType.STRING:
                if isinstance(raw, str):
                    return _enumerated(fact, raw, place)
            case model.FactType.SET:
                if isinstance(raw, list) and all(isinstance(name, str) for name in raw):
                    return frozenset(_enumerated(fact, name, place) for name in raw)
        raise Unreadable("type", place, f"found {kind_and_value(raw)}, {fact.name} is a {fact.type}")

    def _combination(self, word: str, raw: dict[str, Any], place: Place) -> model.Condition:
        inner = raw[word]
        if word == "not":
            return model.Not(self.condition(inner, (*place, word)))
        if not isinstance(inner, list) or not inner:
            raise Unreadable("schema", (*place, word), f"found {kind(inner)}, expected a list of conditions")
        parts = tuple(self.condition(part, (*place, word, index)) for index, part in enumerate(inner))
        return model.AllOf(parts) if word == "all" else model.AnyOf(parts)

    def _fact_test(self, raw: dict[str, Any], place: Place) -> model.FactTest:
        fact = self.fact(raw["fact"], (*place, "fact"))
        used = [operator for operator in model.Operator if operator in raw]
        if len(used) != 1:
            found = ", ".join(used) or "none"
            raise Unreadable("operator", place, f"found operators {found}, expected exactly one")
        operator = used[0]
        operand = self._operand(fact, operator, raw[operator], (*place, str(operator)))
        over = model.Over(raw["over"]) if "over" in raw else None
        self._check_extent(fact, over, place)
        return model.FactTest(fact.name, operator, operand, over, model.Hold(raw.get("hold", "all")))

    def fact(self, name: object, place: Place) -> model.Fact:
        """Return a declared fact.

        Raises:
            Unreadable: There is none of that name.
        """
        fact = self._facts.get(name) if isinstance(name, str) else None
        if fact is None:
            raise Unreadable("unknown-fact", place, f"there is no fact {name!r}")
        return fact

    @staticmethod
    def _check_extent(fact: model.Fact, over: model.Over | None, place: Place) -> None:
        if over is None:
            return
        needed = model.Extent.ENDS if over is model.Over.BOTH_ENDS else model.Extent.SAMPLES
        if needed not in fact.over:
            has = ", ".join(fact.over)
            raise Unreadable("extent", (*place, "over"), f"{fact.name} has values {has}, not {needed}")

    def _operand(self, fact: model.Fact, operator: model.Operator, raw: Data, place: Place) -> model.Operand:
        if isinstance(raw, dict):
            return self._fact_operand(fact, operator, raw, place)
        match operator:
            case model.Operator.ONE_OF:
                if not isinstance(raw, list) or not raw:
                    raise Unreadable("type", place, f"found {kind(raw)}, expected a list of values")
                return tuple(self.value(fact, each, (*place, index)) for index, each in enumerate(raw))
            case model.Operator.CONTAINS:
                if fact.type is not model.FactType.SET:
                    raise Unreadable("operator", place, f"{fact.name} is a {fact.type}, contains needs a set")
                if not isinstance(raw, str):
                    raise Unreadable("type", place, f"found {kind(raw)}, expected one name")
                return _enumerated(fact, raw, place)
            case model.Operator.AT_LEAST | model.Operator.BELOW:
                self._needs_number(fact, operator, place)
        return self.value(fact, raw, place)

    def _fact_operand(
        self, fact: model.Fact, operator: model.Operator, raw: dict[str, Any], place: Place
    ) -> model.FactOperand:
        if operator in {model.Operator.ONE_OF, model.Operator.CONTAINS}:
            raise Unreadable("operator", place, f"{operator} cannot compare with another fact")
        unexpected = sorted(set(raw) - {"fact", "times"})
        if unexpected or "fact" not in raw:
            raise Unreadable("schema", place, "expected a fact and, if wanted, times")
        other = self.fact(raw["fact"], (*place, "fact"))
        numeric = {model.FactType.INTEGER, model.FactType.NUMBER}
        if fact.type in numeric and other.type in numeric:
            try:
                above, below = units.factor(other.unit, fact.unit)
                times = units.quantity(str(raw.get("times", 1)), None)
            except (units.UnitError, ValueError) as fault:
                raise Unreadable("unit", place, f"{other.name} against {fact.name}: {fault}") from fault
            return model.FactOperand(other.name, float(times * above / below))
        if fact.type is not other.type or "times" in raw or operator in {"at_least", "below"}:
            raise Unreadable("type", place, f"{fact.name} ({fact.type}) against {other.name} ({other.type})")
        return model.FactOperand(other.name, 1.0)

    @staticmethod
    def _needs_number(fact: model.Fact, operator: model.Operator, place: Place) -> None:
        if fact.type not in {model.FactType.INTEGER, model.FactType.NUMBER}:
            raise Unreadable("operator", place, f"{fact.name} is a {fact.type}, {operator} needs a number")

    def rule_test(self, raw: dict[str, Any], place: Place) -> model.RuleTest:
        """Return a test of a rule.

        Raises:
            Unreadable: Its condition cannot be read.
        """
        return model.RuleTest(
            condition=self.condition(raw, place),
            when_true=model.Effect(raw.get("when_true", "nothing")),
            when_false=model.Effect(raw.get("when_false", "nothing")),
            required=raw.get("required", False),
            says=raw.get("says"),
            says_false=raw.get("says_false"),
        )

    def rule_tests(self, raw: Sequence[Data], place: Place) -> tuple[model.RuleTest, ...]:
        """Return the tests of a rule; those that cannot be read become problems."""
        found = []
        for index, part in enumerate(raw):
            test = self.item(part, (*place, index), Reader.rule_test)
            if test is not None:
                found.append(test)
        return tuple(found)

    def case(self, raw: dict[str, Any], place: Place) -> model.Case:
        """Return an example of a rule.

        Raises:
            Unreadable: A fact is not declared or its value does not fit.
        """
        facts = {
            name: self._case_value(self.fact(name, (*place, "facts", name)), given, (*place, "facts", name))
            for name, given in raw["facts"].items()
        }
        return model.Case(
            name=raw["name"],
            facts=facts,
            behaviours=dict(raw.get("behaviours", {})),
            expect=model.Status(raw["expect"]["status"]),
        )

    def _case_value(self, fact: model.Fact, raw: Data, place: Place) -> model.CaseValue:
        if not isinstance(raw, dict):
            return model.CaseValue(self._known(fact, raw, place), uniform=True)
        if not raw or set(raw) - _EVERYWHERE_KEYS:
            raise Unreadable("schema", place, "expected a value, or value, ends and samples")
        return model.CaseValue(
            overall=self._known(fact, raw.get("value"), (*place, "value")),
            ends=self._known_list(fact, raw, "ends", place),
            samples=self._known_list(fact, raw, "samples", place),
        )

    def _known(self, fact: model.Fact, raw: Data, place: Place) -> model.Value | None:
        return None if raw is None else self.value(fact, raw, place)

    def _known_list(
        self, fact: model.Fact, raw: Mapping[str, Any], key: str, place: Place
    ) -> tuple[model.Value | None, ...] | None:
        if key not in raw:
            return None
        return tuple(self._known(fact, each, (*place, key, index)) for index, each in enumerate(raw[key]))

    def cases(self, raw: Sequence[Data], place: Place) -> Sequence[model.Case]:
        """Return the examples of a rule; those that cannot be read become problems."""
        if self._after_cases is not None:
            return _ReadLater(partial(self._cases_later, self._after_cases, raw, place))
        return self._cases(raw, place)

    def _cases_later(
        self, after: Callable[[], None], raw: Sequence[Data], place: Place
    ) -> tuple[model.Case, ...]:
        found = self._cases(raw, place)
        after()
        return found

    def _cases(self, raw: Sequence[Data], place: Place) -> tuple[model.Case, ...]:
        found = []
        for index, part in enumerate(raw):
            case = self.item(part, (*place, index), Reader.case)
            if case is not None:
                found.append(case)
        return tuple(found)


class _ReadLater(Sequence[_Item]):
    """A sequence that is read when it is first looked into: a diagnosis needs no rule's cases."""

    def __init__(self, read: Callable[[], tuple[_Item, ...]]) -> None:
        self._read = read
        self._items: tuple[_Item, ...] | None = None

    def _all(self) -> tuple[_Item, ...]:
        if self._items is None:
            self._items = self._read()
        return self._items

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, index: int | slice) -> _Item | tuple[_Item, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, _ReadLater) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def read_fact(_: Reader, raw: dict[str, Any], place: Place) -> model.Fact:
    """Return a fact of a `facts/` document."""
    unit = raw["unit"]
    if unit is not None and unit not in units.UNITS:
        raise Unreadable(
            "unit", (*place, "unit"), f"found {unit!r}, expected one of {', '.join(units.UNITS)}"
        )
    fact_type = model.FactType(raw["type"])
    if unit is not None and fact_type not in {model.FactType.INTEGER, model.FactType.NUMBER}:
        raise Unreadable("unit", (*place, "unit"), f"a {fact_type} has no unit, found {unit!r}")
    return model.Fact(
        name=raw["name"],
        type=fact_type,
        unit=unit,
        over=tuple(model.Extent(each) for each in raw["over"]),
        doc=raw["doc"],
        captures=tuple(raw["captures"]),
        values=dict(raw.get("values", {})),
        speaks_of=model.SpeaksOf(raw.get("speaks_of", "now")),
    )


def read_rule(reader: Reader, raw: dict[str, Any], place: Place) -> model.Rule:
    """Return the rule of a `rules/` document; its area is filled in by the caller."""
    return model.Rule(
        id=raw["id"],
        kind=model.RuleKind(raw["kind"]),
        title=raw["title"],
        refines=raw.get("refines"),
        rarity=model.Rarity(raw.get("rarity", "usual")),
        decided_by=raw.get("decided_by"),
        explains=tuple(raw["explains"]),
        sites=tuple(raw.get("sites", ())),
        applies_when=reader.conditions(raw.get("applies_when", ()), (*place, "applies_when")),
        doc=raw["doc"],
        tests=reader.rule_tests(raw.get("tests", ()), (*place, "tests")),
        remedies=tuple(raw.get("remedies", ())),
        limits=raw["limits"],
        proof=read_proof(raw["proof"]),
        references=tuple(raw.get("references", ())),
        cases=reader.cases(raw.get("cases", ()), (*place, "cases")),
        area="",
    )


def read_remedy(reader: Reader, raw: dict[str, Any], place: Place) -> model.Remedy:
    """Return a remedy of a `remedies/` document."""
    return model.Remedy(
        id=raw["id"],
        title=raw["title"],
        text=raw["text"],
        command=raw.get("command"),
        persistent=dict(raw.get("persistent") or {}),
        costs=raw["costs"],
        helps=raw["helps"],
        check=raw["check"],
        undo=raw["undo"],
        proof=read_proof(raw["proof"]),
        doc=raw.get("doc", ""),
        when=reader.conditions(raw.get("when", ()), (*place, "when")),
        kind=model.RemedyKind(raw["kind"]) if "kind" in raw else None,
        settings=tuple(
            model.RemedySetting(one["what"], one.get("fact"), one["look"], one["propose"], one["because"])
            for one in raw.get("settings", ())
        ),
        stands_for=dict(raw.get("stands_for") or {}),
        plain=model.PlainForm(**raw["plain"]) if "plain" in raw else None,
    )


def read_harm(reader: Reader, raw: dict[str, Any], place: Place) -> model.HarmRule:
    """Return a line of the harm table."""
    return model.HarmRule(
        id=raw["id"],
        harm=model.Harm(raw["harm"]),
        when=reader.conditions(raw["when"], (*place, "when")),
        reason=raw["reason"],
        doc=raw.get("doc", ""),
    )


def read_symptom(_reader: Reader, raw: dict[str, Any], _place: Place) -> model.WatchedCounter:
    """Return a counter of the `symptoms.yaml` document."""
    return model.WatchedCounter(
        counter=raw["counter"],
        subject=raw.get("subject") or raw["counter"].partition(".")[0],
        called=raw["called"],
        passed=tuple(raw["passed"]),
        share_of=raw["share_of"],
        doc=raw.get("doc", ""),
        passed_holds_lost=raw.get("passed_holds_lost", False),
        unless_equals=tuple(raw.get("unless_equals", ())),
        metrics=tuple(raw.get("metrics", ())),
    )


def read_unwatched(_reader: Reader, raw: dict[str, Any], _place: Place) -> model.Unwatched:
    """Return a group of counters of the `unwatched.yaml` document."""
    return model.Unwatched(id=raw["id"], counters=tuple(raw["counters"]), why=raw["why"])


def read_behaviour(reader: Reader, raw: dict[str, Any], place: Place) -> model.Behaviour:
    """Return a behaviour of the `behaviours.yaml` document."""
    feature = raw["feature"]
    return model.Behaviour(
        id=raw["id"],
        title=raw["title"],
        doc=raw["doc"],
        feature=None if feature is None else reader.condition(feature, (*place, "feature")),
        program=raw.get("program", "kernel"),
        ranges={
            tree: tuple(
                model.VersionRange(
                    start=_version(each["from"]),
                    below=_version(each["below"]),
                    present=each.get("present", True),
                    proof=read_proof(each["proof"]),
                )
                for each in ranges
            )
            for tree, ranges in raw["ranges"].items()
        },
        proof=read_proof(raw["proof"]),
    )


def _version(text: str | int | None) -> tuple[int, ...] | None:
    """Return a version's numbers; YAML reads a version of one number as an integer."""
    return None if text is None else tuple(int(part) for part in str(text).replace("-", ".").split("."))


def read_proof(raw: Mapping[str, Any]) -> model.Proof:
    """Return what a claim rests on."""
    return model.Proof(
        source=tuple(raw.get("source", ())),
        public=tuple(raw.get("public", ())),
        lab=tuple(raw.get("lab", ())),
        field=tuple(raw.get("field", ())),
    )


def _finding_test(word: str, raw: Data, place: Place) -> model.FindingIs:
    match raw:
        case {"equals": str(only), **rest} if not rest:
            return model.FindingIs(word, frozenset({only}))
        case {"one_of": list(several), **rest} if not rest and several:
            return model.FindingIs(word, frozenset(several))
        case _:
            raise Unreadable("schema", place, "expected equals: one name, or one_of: a list of names")


def _number(fact: model.Fact, raw: Data, place: Place) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise Unreadable("type", place, f"found {kind_and_value(raw)}, {fact.name} is a {fact.type}")
    try:
        number = units.quantity(str(raw), fact.unit)
    except units.UnitError as fault:
        unit = fact.unit or "no unit"
        raise Unreadable("unit", place, f"{fault}; {fact.name} is in {unit}") from fault
    if fact.type is model.FactType.INTEGER and not isinstance(number, int):
        raise Unreadable("type", place, f"found {raw!r}, {fact.name} is an integer")
    return number


def _enumerated(fact: model.Fact, raw: str, place: Place) -> str:
    if fact.values and raw not in fact.values:
        raise Unreadable("value", place, f"found {raw!r}, {fact.name} is one of {', '.join(fact.values)}")
    return raw


def _mapping(raw: Data, place: Place) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Unreadable("schema", place, f"found {kind(raw)}, expected a mapping")
    return raw


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
)


def kind_and_value(raw: Data) -> str:
    """Return what was found in words, with its value where that is short."""
    return f"{kind(raw)} {raw!r}" if isinstance(raw, bool | int | float | str) else kind(raw)


def kind(raw: Data) -> str:
    """Return in words what kind of YAML value something is."""
    return (
        "nothing"
        if raw is None
        else next((name for types, name in _KINDS if isinstance(raw, types)), "a mapping")
    )
