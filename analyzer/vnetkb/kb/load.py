# SPDX-License-Identifier: Apache-2.0
"""Reads the knowledge base: the compiled `kb.json` of an installed wheel, or the YAML of a source tree.

Both hold the same documents, and one function builds the knowledge base from either. Overlays are folders of
the same layout; an item of an overlay replaces the item of the same id or is added.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vnetkb import paths
from vnetkb.errors import KnowledgeFault
from vnetkb.kb import model, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vnetkb.kb.strict_yaml import Data

FORMAT = 1
"""The layout of `kb.json`; another one is refused."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the knowledge base.

    Attributes:
        path: Its path below the top folder, with `/`.
        data: What it holds.
        overlay: The overlay folder that it came from, `None` for vnetkb's own knowledge base.
    """

    path: str
    data: Data
    overlay: Path | None = None

    @property
    def kind(self) -> str:
        """The kind of document: its top folder, or its name at the top."""
        first = self.path.split("/", 1)[0]
        return first.removesuffix(".yaml")

    def __str__(self) -> str:
        """Return the path that a reader can open."""
        return self.path if self.overlay is None else str(self.overlay / self.path)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem and the document that has it."""

    document: Document
    problem: read.Problem


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a document is read: the list it holds (none: the file is one item), and what reads an item."""

    top: str | None
    read: Callable[[read.Reader, dict[str, Any], read.Place], Any]
    key: str = "id"


_KINDS: Mapping[str, _Kind] = {
    "captures": _Kind("captures", read.read_capture),
    "counters": _Kind("counters", read.read_counter),
    "sites": _Kind("sites", read.read_site),
    "facts": _Kind("facts", read.read_fact, "name"),
    "behaviours": _Kind("behaviours", read.read_behaviour),
    "rules": _Kind(None, read.read_rule),
    "remedies": _Kind("remedies", read.read_remedy),
    "harm": _Kind("harm", read.read_harm),
}
KINDS: tuple[str, ...] = tuple(_KINDS)
"""Every kind of document; the order is that of reading, since conditions need the facts."""


def load_kb(overlays: Sequence[Path] = ()) -> model.KnowledgeBase:
    """Return the knowledge base, in which an overlay's items take the place of those before it.

    Raises:
        KnowledgeFault: A document cannot be read (exit status 3 if it is an overlay's, else 4).
    """
    compiled = paths.compiled_kb()
    documents = list(read_folder(paths.kb_dir()) if compiled is None else read_compiled(compiled))
    for overlay in overlays:
        documents += read_folder(overlay, overlay=overlay)
    return load_documents(documents)


def load_documents(documents: Sequence[Document]) -> model.KnowledgeBase:
    """Return the knowledge base that documents make up.

    Raises:
        KnowledgeFault: An item cannot be read.
    """
    knowledge, problems = build(documents)
    if problems:
        first = problems[0]
        raise KnowledgeFault(
            f"{first.document}: {place_text(first.problem.place)}{first.problem.text}",
            overlay=first.document.overlay is not None,
        )
    return knowledge


def read_folder(folder: Path, *, overlay: Path | None = None) -> Iterator[Document]:
    """Yield the YAML documents of a knowledge base folder, in the order of their paths.

    Raises:
        KnowledgeFault: The folder or a file cannot be read, or is no strict YAML.
    """
    from vnetkb.kb import strict_yaml  # noqa: PLC0415 - an installed wheel reads kb.json and needs no YAML

    if not folder.is_dir():
        raise KnowledgeFault(
            f"{folder}: not a folder, expected a knowledge base", overlay=overlay is not None
        )
    for path in documents_below(folder):
        try:
            data = strict_yaml.parse((folder / path).read_text(encoding="utf-8"))
        except (strict_yaml.YamlError, OSError, UnicodeDecodeError) as fault:
            raise KnowledgeFault(f"{folder / path}: {fault}", overlay=overlay is not None) from fault
        yield Document(path, data, overlay)


def documents_below(folder: Path) -> list[str]:
    """Return the paths of the documents of a knowledge base folder."""
    found = []
    for kind in _KINDS:
        if (folder / f"{kind}.yaml").is_file():
            found.append(f"{kind}.yaml")
        found += (file.relative_to(folder).as_posix() for file in (folder / kind).glob("**/*.yaml"))
    return sorted(found)


def read_compiled(file: Path) -> Iterator[Document]:
    """Yield the documents of a compiled knowledge base.

    Raises:
        KnowledgeFault: The file cannot be read or is of another layout.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as fault:
        raise KnowledgeFault(f"{file}: {fault}") from fault
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise KnowledgeFault(
            f"{file}: not a compiled knowledge base of format {FORMAT}; install vnetkb again"
        )
    for path, data in content["documents"].items():
        yield Document(path, data)


def compile_kb(folder: Path) -> bytes:
    """Return the compiled form of a knowledge base folder: its documents as JSON.

    Raises:
        KnowledgeFault: A document cannot be read; nothing broken is compiled.
    """
    documents = list(read_folder(folder))
    load_documents(documents)
    content = {"format": FORMAT, "documents": {document.path: document.data for document in documents}}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def build(documents: Sequence[Document]) -> tuple[model.KnowledgeBase, list[FileProblem]]:
    """Return the knowledge base that documents make up and what of them could not be read."""
    problems: list[FileProblem] = []
    origins: dict[tuple[str, str], Document] = {}
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    for kind, how in _KINDS.items():
        for document in documents:
            if document.kind == kind:
                _add(document, how, found, origins, problems)
    rules: dict[str, model.Rule] = found["rules"]
    problems += _check_refines(rules, origins)
    knowledge = model.KnowledgeBase(
        captures=found["captures"],
        counters=found["counters"],
        sites=found["sites"],
        behaviours=found["behaviours"],
        facts=found["facts"],
        rules=rules,
        remedies=found["remedies"],
        harm=_harm_in_order(found["harm"], origins),
        origins={key: str(document) for key, document in origins.items()},
        _children=_children(rules),
    )
    return knowledge, problems


def place_text(place: read.Place) -> str:
    """Return a place in a document as the start of a message: `tests[2].equals: `."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


def _add(
    document: Document,
    how: _Kind,
    found: Mapping[str, dict[str, Any]],
    origins: dict[tuple[str, str], Document],
    problems: list[FileProblem],
) -> None:
    here: list[read.Problem] = []
    reader = read.Reader(found["facts"], here)
    items: list[tuple[Any, read.Place]]
    if how.top is None:
        item = reader.item(document.data, (), how.read)
        items = [] if item is None else [(item, ())]
    else:
        items = reader.items(document.data, how.top, how.read)
    for item, place in items:
        name = getattr(item, how.key)
        key = (document.kind, name)
        if key in origins and origins[key].overlay == document.overlay:
            here.append(read.Problem("duplicate", place, f"{name!r} is also in {origins[key].path}"))
            continue
        origins[key] = document
        found[document.kind][name] = _placed(item, document)
    problems += (FileProblem(document, problem) for problem in here)


def _placed(item: object, document: Document) -> object:
    """Fill in what an item takes from the place of its document."""
    place = PurePosixPath(document.path)
    if isinstance(item, model.Rule):
        return replace(item, area=place.parent.name)
    if isinstance(item, model.Capture):
        return replace(item, collector=place.stem)
    return item


def _check_refines(
    rules: dict[str, model.Rule], origins: Mapping[tuple[str, str], Document]
) -> list[FileProblem]:
    """Cut what refines itself or an unknown rule, so that whoever walks up the tree comes to its root."""
    faults = {rule.id: text for rule in rules.values() if (text := _refines_fault(rule, rules)) is not None}
    for rule_id in faults:
        rules[rule_id] = replace(rules[rule_id], refines=None)
    return [
        FileProblem(origins["rules", rule_id], read.Problem("refines", ("refines",), text))
        for rule_id, text in faults.items()
    ]


def _refines_fault(rule: model.Rule, rules: Mapping[str, model.Rule]) -> str | None:
    seen = {rule.id}
    parent = rule.refines
    while parent is not None:
        if parent not in rules:
            return f"there is no rule {parent!r}" if parent == rule.refines else None
        if parent in seen:
            return f"{rule.id} refines itself through {rule.refines}" if parent == rule.id else None
        seen.add(parent)
        parent = rules[parent].refines
    return None


def _children(rules: Mapping[str, model.Rule]) -> dict[str, tuple[str, ...]]:
    children: dict[str, tuple[str, ...]] = {}
    for rule in rules.values():
        if rule.refines is not None:
            children[rule.refines] = (*children.get(rule.refines, ()), rule.id)
    return children


def _harm_in_order(
    harm: Mapping[str, model.HarmRule], origins: Mapping[tuple[str, str], Document]
) -> tuple[model.HarmRule, ...]:
    """Put what overlays add before vnetkb's own lines, or it could never match."""
    return tuple(sorted(harm.values(), key=lambda line: origins["harm", line.id].overlay is None))
