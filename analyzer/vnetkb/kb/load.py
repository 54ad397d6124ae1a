# SPDX-License-Identifier: Apache-2.0
"""Reads the knowledge base: the compiled `kb.json` of an installed wheel, or the YAML of a source tree.

Both hold the same documents, and one function builds the knowledge base from either. Overlays are folders of
the same layout; an item of an overlay replaces the item of the same id or is added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from vnetkb import paths
from vnetkb.errors import KnowledgeFault
from vnetkb.kb import model, read
from vnetkb.language import Catalogue, Language, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vnetkb.kb.reference import Site
    from vnetkb.kb.strict_yaml import Data

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

FORMAT = 2
"""The layout of `kb.json`; another one is refused."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a document is read: the list it holds (none: the file is one item), and what reads an item."""

    top: str | None
    reader: str
    key: str = "id"
    on_first_use: bool = False

    @property
    def read(self) -> Callable[[read.Reader, dict[str, Any], read.Place], Any]:
        """The function that reads an item."""
        if self.on_first_use:
            from vnetkb.kb import read_reference  # noqa: PLC0415 - most diagnoses need little of it

            return cast("Callable[..., Any]", getattr(read_reference, self.reader))
        return cast("Callable[..., Any]", getattr(read, self.reader))


# The order is that of reading: conditions need the facts.
_KINDS: Mapping[str, _Kind] = {
    "facts": _Kind("facts", "read_fact", "name"),
    "captures": _Kind("captures", "read_capture", on_first_use=True),
    "counters": _Kind("counters", "read_counter", on_first_use=True),
    "sites": _Kind("sites", "read_site", on_first_use=True),
    "behaviours": _Kind("behaviours", "read_behaviour"),
    "rules": _Kind(None, "read_rule"),
    "remedies": _Kind("remedies", "read_remedy"),
    "harm": _Kind("harm", "read_harm"),
    "symptoms": _Kind("symptoms", "read_symptom", "counter"),
    "unwatched": _Kind("unwatched", "read_unwatched"),
    "levels": _Kind("levels", "read_levels", on_first_use=True),
}
KINDS: tuple[str, ...] = tuple(_KINDS)
"""Every kind of document."""

LAYOUT = f"NAME.yaml or NAME/*.yaml with a NAME of {', '.join(KINDS)}"
BESIDE = frozenset({"locale", "masking.yaml", "verified", "walkthrough"})
"""What lies in a knowledge base beside its documents."""


class Document:
    """One file of the knowledge base.

    Attributes:
        path: Its path below the top folder, with `/`.
        overlay: The overlay folder that it came from, `None` for vnetkb's own knowledge base.
    """

    def __init__(self, path: str, data: Callable[[], Data] | Data, overlay: Path | None = None) -> None:
        """Keep the data, or what gives it when it is first asked for."""
        self.path = path
        self.overlay = overlay
        self._data = data

    @property
    def data(self) -> Data:
        """What the document holds.

        Raises:
            KnowledgeFault: The file cannot be read, or is no strict YAML.
        """
        if callable(self._data):
            self._data = self._data()
        return self._data

    @property
    def kind(self) -> str:
        """The kind of document: its top folder, or its name at the top."""
        return self.path.split("/", 1)[0].removesuffix(".yaml")

    def translated(self, words: Catalogue) -> Document:
        """Return the document with what it tells people in another language."""
        return Document(self.path, partial(self._translated, words), self.overlay)

    def _translated(self, words: Catalogue) -> Data:
        from vnetkb.kb import prose  # noqa: PLC0415 - English needs none of it

        return prose.translated(self.kind, self.data, partial(words.text, domain=self.kind))

    def __str__(self) -> str:
        """Return the path that a reader can open."""
        return self.path if self.overlay is None else str(self.overlay / self.path)


class FileProblem(NamedTuple):
    """A problem and the document that has it."""

    document: Document
    problem: read.Problem


def load_kb(overlays: Sequence[Path] = (), language: Language = Language.ENGLISH) -> model.KnowledgeBase:
    """Return the knowledge base, in which an overlay's items take the place of those before it.

    Args:
        overlays: Folders laid out as `kb/`.
        language: The language of its texts for people; ids, names and code are the same in all.

    Raises:
        KnowledgeFault: A document cannot be read (exit status 3 if it is an overlay's, else 4).
    """
    compiled = paths.compiled_kb()
    documents = list(read_folder(paths.kb_dir()) if compiled is None else read_compiled(compiled))
    for overlay in overlays:
        documents += read_folder(overlay, overlay=overlay)
    words = catalogue(language, overlays)
    if words is not None:
        documents = [document.translated(words) for document in documents]
    return load_documents(documents)


def load_documents(documents: Sequence[Document]) -> model.KnowledgeBase:
    """Return the knowledge base that documents make up; captures, counters and sites are read on first use.

    Raises:
        KnowledgeFault: An item cannot be read; of what is read on first use, then.
    """
    items = _Items(documents)
    knowledge = items.knowledge_base(later=True)
    items.check()
    return knowledge


def read_folder(folder: Path, *, overlay: Path | None = None) -> Iterator[Document]:
    """Yield the YAML documents of a knowledge base folder, in the order of their paths.

    Raises:
        KnowledgeFault: It is no folder.
    """
    if not folder.is_dir():
        raise KnowledgeFault(
            f"{folder}: not a folder, expected a knowledge base", overlay=overlay is not None
        )
    fault = layout_fault(folder)
    if fault is not None:
        raise KnowledgeFault(f"{folder}: {fault}", overlay=overlay is not None)
    for path in documents_below(folder):
        yield Document(path, partial(_parse, folder / path, overlay=overlay is not None), overlay)


def _parse(file: Path, *, overlay: bool) -> Data:
    from vnetkb.kb import strict_yaml  # noqa: PLC0415 - an installed wheel reads kb.json and needs no YAML

    try:
        return strict_yaml.parse(file.read_text(encoding="utf-8"))
    except (strict_yaml.YamlError, OSError, UnicodeDecodeError) as fault:
        raise KnowledgeFault(f"{file}: {fault}", overlay=overlay) from fault


def documents_below(folder: Path) -> list[str]:
    """Return the paths of the documents of a knowledge base folder."""
    found = []
    for kind in _KINDS:
        if (folder / f"{kind}.yaml").is_file():
            found.append(f"{kind}.yaml")
        found += (file.relative_to(folder).as_posix() for file in (folder / kind).glob("**/*.yaml"))
    return sorted(found)


def layout_fault(folder: Path) -> str | None:
    """Say why a folder is not laid out as a knowledge base; None when it is.

    A document in a place that is never read would be knowledge that is believed in and not used.
    """
    read_ones = set(documents_below(folder))
    if not read_ones:
        return f"found no document of a knowledge base, expected {LAYOUT}"
    every = (file.relative_to(folder) for suffix in ("yaml", "yml") for file in folder.glob(f"**/*.{suffix}"))
    stray = sorted(
        path.as_posix()
        for path in every
        if path.as_posix() not in read_ones
        and path.parts[0] not in BESIDE
        and not any(part.startswith(".") for part in path.parts)
    )
    return f"{stray[0]} is in no place where it would be read, expected {LAYOUT}" if stray else None


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
    for path, text in content["documents"].items():
        yield Document(path, partial(json.loads, text))


def compile_kb(folder: Path) -> bytes:
    """Return the compiled form of a knowledge base folder: JSON that holds each document as a JSON text.

    A diagnosis reads some of the documents and no counter.

    Raises:
        KnowledgeFault: A document cannot be read; nothing broken is compiled.
    """
    documents = list(read_folder(folder))
    items = _Items(documents)
    items.knowledge_base(later=False)
    items.check()
    compact = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
    content = {
        "format": FORMAT,
        "documents": {document.path: compact(document.data) for document in documents},
    }
    return bytes(compact(content), "utf-8")


def build(documents: Sequence[Document]) -> tuple[model.KnowledgeBase, list[FileProblem]]:
    """Return the knowledge base that documents make up, read whole, and what of them could not be read."""
    items = _Items(documents)
    return items.knowledge_base(later=False), items.problems


def place_text(place: read.Place) -> str:
    """Return a place in a document as the start of a message: `tests[2].equals: `."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


def _raise_first(document: Document, problems: Sequence[read.Problem]) -> None:
    if problems:
        first = problems[0]
        raise KnowledgeFault(
            f"{document}: {place_text(first.place)}{first.text}", overlay=document.overlay is not None
        )


class _Items:
    """Reads documents kind by kind."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._found: dict[str, dict[str, Any]] = {}
        self._origins: dict[tuple[str, str], Document] = {}
        self.problems: list[FileProblem] = []
        self._later = False

    def knowledge_base(self, *, later: bool) -> model.KnowledgeBase:
        """Return the knowledge base, in which some kinds are read on first use if `later`."""
        self._later = later
        for kind, how in _KINDS.items():
            if not (later and how.on_first_use):
                self._kind(kind)
        rules: dict[str, model.Rule] = self._found["rules"]
        self.problems += _check_refines(rules, self._origins)
        return model.KnowledgeBase(
            captures=_OnFirstUse(partial(self._checked, "captures")),
            counters=_OnFirstUse(partial(self._checked, "counters")),
            sites=_OnFirstUse(partial(self._checked, "sites"), self._one_site),
            behaviours=self._found["behaviours"],
            facts=self._found["facts"],
            rules=rules,
            remedies=self._found["remedies"],
            harm=_harm_in_order(self._found["harm"], self._origins),
            symptoms=self._found["symptoms"],
            unwatched=self._found["unwatched"],
            levels=_OnFirstUse(partial(self._checked, "levels")),
            origins=_OnFirstUse(self._all_origins),
            _children=_children(rules),
            added=frozenset(_added(self._documents)),
        )

    def check(self) -> None:
        """Raise the first problem that there is.

        Raises:
            KnowledgeFault: An item could not be read.
        """
        if self.problems:
            _raise_first(self.problems[0].document, [self.problems[0].problem])

    def _checked(self, kind: str) -> dict[str, Any]:
        """Return the items of a kind; of one that was read whole the problems are known."""
        if kind not in self._found:
            self._kind(kind)
            self.check()
        return self._found[kind]

    def _one_site(self, name: object) -> Site | None:
        """Return a site from the document of its source file alone: a diagnosis needs one or two of hundreds.

        `None` where only reading all of them can tell.
        """
        stem = str(name).partition(".")[0]
        found = [d for d in self._documents if d.kind == "sites" and PurePosixPath(d.path).stem == stem]
        if len(found) != 1 or any(document.overlay for document in self._documents):
            return None
        how = _KINDS["sites"]
        items = read.Reader(self._found["facts"], []).items(found[0].data, str(how.top), how.read)
        return next((item for item, _ in items if item.id == name), None)

    def _all_origins(self) -> dict[tuple[str, str], str]:
        for kind in _KINDS:
            self._checked(kind)
        return {key: str(document) for key, document in self._origins.items()}

    def _kind(self, kind: str) -> None:
        self._found[kind] = {}
        for document in self._documents:
            if document.kind == kind:
                self._document(document, _KINDS[kind])

    def _document(self, document: Document, how: _Kind) -> None:
        problems: list[read.Problem] = []
        after = partial(_raise_first, document, problems) if self._later else None
        reader = read.Reader(self._found.get("facts", {}), problems, after_cases=after)
        if how.top is None:
            item = reader.item(document.data, (), how.read)
            items: list[tuple[Any, read.Place]] = [] if item is None else [(item, ())]
        else:
            items = reader.items(document.data, how.top, how.read)
        for item, place in items:
            name = getattr(item, how.key)
            key = (document.kind, name)
            if key in self._origins and self._origins[key].overlay == document.overlay:
                text = f"{name!r} is also in {self._origins[key].path}"
                problems.append(read.Problem("duplicate", place, text))
                continue
            self._origins[key] = document
            self._found[document.kind][name] = _placed(item, document)
        self.problems += (FileProblem(document, problem) for problem in problems)


def _added(documents: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """Yield the kind and the id of every item of an overlay, without reading the items."""
    for document in documents:
        if document.overlay is None:
            continue
        how, data = _KINDS[document.kind], document.data
        held = data if how.top is None else data.get(how.top) if isinstance(data, dict) else None
        for item in held if isinstance(held, list) else [held]:
            if isinstance(item, dict) and isinstance(item.get(how.key), str):
                yield document.kind, str(item[how.key])


class _OnFirstUse(Mapping[_Key, _Value]):
    """A mapping that is made when it is first looked into."""

    def __init__(
        self,
        make: Callable[[], Mapping[_Key, _Value]],
        make_one: Callable[[_Key], _Value | None] | None = None,
    ) -> None:
        self._make = make
        self._make_one = make_one
        self._made: Mapping[_Key, _Value] | None = None
        self._single: dict[_Key, _Value] = {}

    def _mapping(self) -> Mapping[_Key, _Value]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: _Key) -> _Value:
        if self._made is None and self._make_one is not None:
            if key not in self._single and (item := self._make_one(key)) is not None:
                self._single[key] = item
            if key in self._single:
                return self._single[key]
        return self._mapping()[key]

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._mapping())

    def __len__(self) -> int:
        return len(self._mapping())

    def __repr__(self) -> str:
        return repr(self._mapping())


def _placed(item: Any, document: Document) -> Any:  # noqa: ANN401 - an item of any kind
    """Fill in what an item takes from the place of its document."""
    place = PurePosixPath(document.path)
    if isinstance(item, model.Rule):
        return item._replace(area=place.parent.name)
    if document.kind == "captures":
        return item._replace(collector=place.stem)
    return item


def _check_refines(
    rules: dict[str, model.Rule], origins: Mapping[tuple[str, str], Document]
) -> list[FileProblem]:
    """Cut what refines itself or an unknown rule, so that whoever walks up the tree comes to its root."""
    faults = {rule.id: text for rule in rules.values() if (text := _refines_fault(rule, rules)) is not None}
    for rule_id in faults:
        rules[rule_id] = rules[rule_id]._replace(refines=None)
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
