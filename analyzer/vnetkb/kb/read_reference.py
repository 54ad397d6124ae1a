# SPDX-License-Identifier: Apache-2.0
"""From the data of a document to the typed values of `vnetkb.kb.reference`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb.kb import model, read, reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def read_capture(_: read.Reader, raw: dict[str, Any], __: read.Place) -> reference.Capture:
    """Return a capture of a `captures/` document; its collector is filled in by the caller."""
    return reference.Capture(
        id=raw["id"],
        collector="",
        when=raw["when"],
        argv=tuple(raw.get("argv", ())),
        reads=tuple(raw.get("reads", ())),
        why=raw["why"],
        safe=raw["safe"],
        reveals=tuple(each for each in raw["reveals"] if each != "nothing"),
        needs=tuple(raw.get("needs", ())),
        doc=raw["doc"],
        ask=raw.get("ask"),
    )


def read_counter(_: read.Reader, raw: dict[str, Any], __: read.Place) -> reference.Counter:
    """Return a counter of a `counters/` document."""
    return reference.Counter(
        id=raw["id"],
        title=raw["title"],
        is_loss=raw["measures"] == "loss",
        doc=raw["doc"],
        not_meaning=tuple(raw.get("not_meaning", ())),
        view=raw["view"],
        unit=raw["unit"],
        width=_by_kernel(raw["width"]),
        sum_of=_by_kernel(raw.get("sum_of", ())),
        counted_when=raw["counted_when"],
        lost=raw["lost"],
        names=tuple(
            reference.ToolName(
                tool=name["tool"],
                name=name["name"],
                aliases=tuple(name.get("aliases", ())),
                swapped=name.get("swapped", False),
                doc=name.get("doc", ""),
            )
            for name in raw["names"]
        ),
        counted_in=tuple(
            reference.CountedIn(tuple(each["files"]), tuple(each["fields"]), tuple(each.get("helpers", ())))
            for each in raw.get("counted_in", ())
        ),
        summed_in=tuple(
            reference.SummedIn(each["file"], each["function"], each["doc"])
            for each in raw.get("summed_in", ())
        ),
        related=tuple(raw.get("related", ())),
        proof=read.read_proof(raw["proof"]),
    )


def read_levels(_: read.Reader, raw: dict[str, Any], __: read.Place) -> model.Levels:
    """Return a group of numbers of the `levels.yaml` document."""
    return model.Levels(id=raw["id"], counters=tuple(raw["counters"]), why=raw["why"])


def read_site(reader: read.Reader, raw: dict[str, Any], place: read.Place) -> reference.Site:
    """Return a site of a `sites/` document."""
    kernels = tuple(raw["kernels"])
    moves = tuple(
        reference.Move(
            counter=move["counter"],
            statement=_cited(move["statement"]),
            file=move.get("file", raw["file"]),
            function=move.get("function", raw["function"]),
            kernels=tuple(move.get("kernels", kernels)),
            shown=tuple(move.get("shown", move.get("kernels", kernels))),
        )
        for move in raw.get("moves", ())
    )
    silent = raw.get("silent", False)
    between = raw.get("between")
    return reference.Site(
        id=raw["id"],
        title=raw["title"],
        file=raw["file"],
        function=raw["function"],
        statement=_cited(raw["statement"]),
        condition=raw["condition"],
        moves=moves,
        silent_kernels=tuple(silent) if isinstance(silent, list) else kernels if silent else (),
        between=None if between is None else (between[0], between[1]),
        reasons=_by_kernel(raw.get("reasons", ())),
        kernels=kernels,
        since=dict(raw.get("since", {})),
        behaviours=tuple(
            model.BehaviourIs(each["behaviour"], each.get("present", True))
            for each in raw.get("behaviours", ())
        ),
        applies_when=reader.conditions(raw.get("applies_when", ()), (*place, "applies_when")),
        visibility=dict(raw.get("visibility", {})),
        trigger=raw["trigger"],
        doc=raw.get("doc", ""),
        proof=read.read_proof(raw["proof"]),
    )


def _cited(raw: str | Sequence[Mapping[str, Any]]) -> tuple[reference.Cited, ...]:
    if isinstance(raw, str):
        return (reference.Cited(raw),)
    return tuple(
        reference.Cited(each["text"], tuple(each.get("kernels", ())), each.get("nth")) for each in raw
    )


def _by_kernel(raw: str | Sequence[Mapping[str, Any]]) -> tuple[reference.ByKernel, ...]:
    if isinstance(raw, str):
        return (reference.ByKernel(raw),)
    return tuple(reference.ByKernel(each["text"], tuple(each.get("kernels", ()))) for each in raw)
