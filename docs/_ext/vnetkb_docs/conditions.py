# SPDX-License-Identifier: Apache-2.0
"""The structured tests of rules, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from vnetkb.diagnosis.wording import quantity
from vnetkb.kb import model
from vnetkb_docs.text import bullets, reference
from vnetkb_docs.words import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.kb.model import Condition
    from vnetkb_docs.knowledge import Knowledge


def condition(what: Condition, know: Knowledge) -> list[nodes.Node]:
    """Return a condition as blocks: a paragraph, or a list under what joins its parts."""
    match what:
        case model.AllOf(parts):
            return _several(_("all of:"), parts, know)
        case model.AnyOf(parts):
            return _several(_("one of:"), parts, know)
        case model.Not(model.AllOf(parts)):
            return _several(_("not all of:"), parts, know)
        case model.Not(model.AnyOf(parts)):
            return _several(_("none of:"), parts, know)
        case model.Not(part):
            return [nodes.paragraph("", _("not: "), *_leaf(part, know))]
        case _:
            return [nodes.paragraph("", "", *_leaf(what, know))]


def _several(intro: str, parts: Sequence[Condition], know: Knowledge) -> list[nodes.Node]:
    return [nodes.paragraph("", intro), bullets([condition(part, know) for part in parts])]


def _leaf(what: Condition, know: Knowledge) -> list[nodes.Node]:
    match what:
        case model.FactTest():
            return _fact(what, know)
        case model.BehaviourIs(behaviour, present):
            text = _("present") if present else _("not present")
            return [reference("behaviour", behaviour), nodes.Text(f": {text}")]
        case model.FindingIs(subject, values):
            return [nodes.Text(f"{_('the finding')} {_(subject)}: {', '.join(sorted(values))}")]
        case _:
            return [nodes.Text(str(what))]


def _fact(test: model.FactTest, know: Knowledge) -> list[nodes.Node]:
    templates = {
        model.Operator.EQUALS: _("{fact} is {value}"),
        model.Operator.NOT_EQUALS: _("{fact} is not {value}"),
        model.Operator.ONE_OF: _("{fact} is one of {value}"),
        model.Operator.AT_LEAST: _("{fact} is at least {value}"),
        model.Operator.BELOW: _("{fact} is below {value}"),
        model.Operator.CONTAINS: _("{fact} contains {value}"),
    }
    unit = know.kb.facts[test.fact].unit if test.fact in know.kb.facts else None
    before, _brace, rest = templates[test.operator].partition("{fact}")
    middle, _brace, after = rest.partition("{value}")
    made: list[nodes.Node] = [nodes.Text(before)] if before else []
    made += [reference("fact", test.fact), nodes.Text(middle)]
    operand = test.operand
    if isinstance(operand, model.FactOperand):
        if operand.times != 1:
            made.append(nodes.Text(f"{operand.times:g} × "))
        made.append(reference("fact", operand.fact))
    else:
        made.append(nodes.literal("", value(operand, unit)))
    made.append(nodes.Text(after + over(test)))
    return made


def over(test: model.FactTest) -> str:
    """Return for which moments a test must hold, with a leading blank, empty for the overall value."""
    moments = {
        (model.Over.BOTH_ENDS, model.Hold.ALL): _(" in every snapshot"),
        (model.Over.BOTH_ENDS, model.Hold.ANY): _(" in at least one snapshot"),
        (model.Over.BOTH_ENDS, model.Hold.MOST): _(" in most snapshots"),
        (model.Over.ALL_SAMPLES, model.Hold.ALL): _(" in every sample"),
        (model.Over.ALL_SAMPLES, model.Hold.ANY): _(" in at least one sample"),
        (model.Over.ALL_SAMPLES, model.Hold.MOST): _(" in the samples with most of the drops"),
        (model.Over.DROP_SAMPLES, model.Hold.ALL): _(" in every sample with drops"),
        (model.Over.DROP_SAMPLES, model.Hold.ANY): _(" in at least one sample with drops"),
        (model.Over.DROP_SAMPLES, model.Hold.MOST): _(" in the samples with most of the drops"),
    }
    return "" if test.over is None else moments[test.over, test.hold]


def value(operand: model.Operand, unit: str | None) -> str:
    """Return a value as a reader writes it."""
    if isinstance(operand, bool):  # as the fact's type is told
        return _("true") if operand else _("false")
    if isinstance(operand, model.FactOperand):
        return operand.fact
    if isinstance(operand, tuple):
        return ", ".join(quantity(each, unit) for each in operand)
    return quantity(operand, unit)
