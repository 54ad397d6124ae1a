# SPDX-License-Identifier: Apache-2.0
"""Collects what people read and keeps the catalogues of its translations in step.

    tools/catalogue.py            write kb/locale/<language>/*.po anew: translations stay, stale entries go
    tools/catalogue.py --check    change nothing; exit with 1 if something lacks or is out of date

A text whose English was changed keeps its old translation, marked fuzzy and with the former English beside
it, until somebody has looked at it.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polib

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "analyzer"))

from vnetkb.kb import explain, load, model, prose  # noqa: E402 - the tree's own package, only now on the path
from vnetkb.language import PROGRAM, normal  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LANGUAGES = ("zh_CN",)
LIKE = 0.75
"""From which likeness on a new text is taken for a changed old one."""

ENUMERATIONS = {
    "harm": model.Harm,
    "status": model.Status,
    "effect": model.Effect,
    "rarity": model.Rarity,
    "rule kind": model.RuleKind,
    "type": model.FactType,
    "extent": model.Extent,
    "kind": explain.KINDS,
}
"""Values of enumerations that are shown to people, by the context that `tr_name` gives them."""

SCHEMAS = "schemas"
"""The domain of the schemas' titles and descriptions, which only the published reference shows."""

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_FUNCTIONS = {"tr": (0,), "mark": (0,), "tr_count": (1,)}


class Key(NamedTuple):
    """An entry of a catalogue."""

    domain: str
    context: str | None
    text: str


def collect(root: Path = ROOT) -> dict[Key, list[str]]:
    """Return every text that people read, with the files that hold it."""
    found: dict[Key, dict[str, None]] = defaultdict(dict)
    for key, file in (*_knowledge(root), *_program(root), *_schemas(root)):
        found[key][file] = None
    return {key: list(files) for key, files in found.items()}


def _knowledge(root: Path) -> Iterator[tuple[Key, str]]:
    for document in load.read_folder(root / "kb"):
        file = f"kb/{document.path}"
        for text in prose.texts(document.kind, document.data):
            yield Key(document.kind, None, normal(text)), file
        for context, name in prose.names(document.kind, document.data):
            yield Key(PROGRAM, context, normal(name)), file
    for context, values in ENUMERATIONS.items():
        for value in values:
            yield Key(PROGRAM, context, str(value)), "analyzer/vnetkb/kb/model.py"


def _program(root: Path) -> Iterator[tuple[Key, str]]:
    for file in sorted((root / "analyzer").rglob("*.py")):
        for text in _marked(ast.parse(file.read_text(encoding="utf-8"))):
            yield Key(PROGRAM, None, normal(text)), file.relative_to(root).as_posix()
    for template in sorted((root / "analyzer").rglob("*.j2")):
        for match in re.finditer(
            r"""\btr(?:_count)?\(\s*(["'])(.*?)\1""", template.read_text(encoding="utf-8")
        ):
            yield Key(PROGRAM, None, normal(match[2])), template.relative_to(root).as_posix()


def _schemas(root: Path) -> Iterator[tuple[Key, str]]:
    for file in sorted((root / "schemas").glob("*.schema.json")):
        for text in _described(json.loads(file.read_bytes())):
            yield Key(SCHEMAS, None, normal(text)), file.relative_to(root).as_posix()


def _described(part: object) -> Iterator[str]:
    """Yield the titles and descriptions in a schema."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"title", "description"} and isinstance(value, str):
                yield value
            yield from _described(value)
    elif isinstance(part, list):
        for each in part:
            yield from _described(each)


def _marked(tree: ast.AST) -> Iterator[str]:
    """Yield the literals that stand in `tr`, `tr_count` and `mark`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        for index in _FUNCTIONS.get(name, ()):
            argument = node.args[index] if index < len(node.args) else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def update(folder: Path, wanted: Mapping[Key, list[str]]) -> None:
    """Write a language's catalogues anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain in sorted({key.domain for key in wanted} | {file.stem for file in folder.glob("*.po")}):
        file = folder / f"{domain}.po"
        keys = {key: files for key, files in wanted.items() if key.domain == domain}
        if keys:
            _updated(_read(file), keys, folder.name).save(str(file))
        else:
            file.unlink()


def _updated(old: Mapping[Key, polib.POEntry], keys: Mapping[Key, list[str]], language: str) -> polib.POFile:
    made = polib.POFile(wrapwidth=110)
    made.header = (
        "SPDX-License-Identifier: Apache-2.0\nMade by tools/catalogue.py; translations are written here."
    )
    made.metadata = {
        "Project-Id-Version": "vnetkb",
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    stale = {key.text: entry for key, entry in old.items() if key not in keys and entry.msgstr}
    for key, files in keys.items():
        entry = polib.POEntry(msgid=key.text, msgctxt=key.context, occurrences=[(file, "") for file in files])
        if key in old:
            entry.msgstr, entry.flags, entry.previous_msgid = _kept(old[key])
        elif former := difflib.get_close_matches(key.text, stale, n=1, cutoff=LIKE):
            entry.msgstr, entry.flags = stale[former[0]].msgstr, ["fuzzy"]
            entry.previous_msgid = former[0]
        made.append(entry)
    return made


def _kept(entry: polib.POEntry) -> tuple[str, list[str], str | None]:
    return entry.msgstr, list(entry.flags), entry.previous_msgid if entry.fuzzy else None


def _read(file: Path) -> dict[Key, polib.POEntry]:
    if not file.is_file():
        return {}
    entries = polib.pofile(str(file), encoding="utf-8", wrapwidth=110)
    return {Key(file.stem, entry.msgctxt, entry.msgid): entry for entry in entries if not entry.obsolete}


def faults(folder: Path, wanted: Mapping[Key, list[str]]) -> Iterator[str]:
    """Yield what is wrong with a language's catalogues, one line each."""
    held: dict[Key, polib.POEntry] = {}
    for file in sorted(folder.glob("*.po")):
        held |= _read(file)
    for key, files in wanted.items():
        entry = held.get(key)
        if entry is None or not entry.msgstr.strip():
            yield f"{folder.name}/{key.domain}.po: no translation of {_short(key.text)} ({files[0]})"
        elif entry.fuzzy:
            yield f"{folder.name}/{key.domain}.po: fuzzy: {_short(key.text)} ({files[0]})"
        elif set(_PLACEHOLDER.findall(key.text)) != set(_PLACEHOLDER.findall(entry.msgstr)):
            yield f"{folder.name}/{key.domain}.po: other placeholders than {_short(key.text)}"
    for key in held.keys() - wanted.keys():
        yield f"{folder.name}/{key.domain}.po: stale: {_short(key.text)}"


def untranslated(folder: Path, wanted: Mapping[Key, list[str]]) -> set[str]:
    """Return the texts that have no translation into a language, or none that was looked at."""
    held: dict[Key, polib.POEntry] = {}
    for file in sorted(folder.glob("*.po")):
        held |= _read(file)
    return {key.text for key in wanted if key not in held or not held[key].translated()}


def _short(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:97]}…")  # noqa: PLR2004 - one line


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(description="Keeps the catalogues of translations in step.")
    parser.add_argument("--check", action="store_true", help="change nothing, list what is not complete")
    arguments = parser.parse_args()
    wanted = collect()
    found = []
    for language in LANGUAGES:
        folder = ROOT / "kb" / "locale" / language
        if not arguments.check:
            update(folder, wanted)
        found += list(faults(folder, wanted))
    for fault in found:
        print(fault)
    print(f"{len(wanted)} texts, {len(found)} faults; {'checked' if arguments.check else 'written'}")
    return 1 if found and arguments.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
