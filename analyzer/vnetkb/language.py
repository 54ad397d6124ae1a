# SPDX-License-Identifier: Apache-2.0
"""The language of what people read: English as it is written, or its translation from `kb/locale/`.

The English text is the key, so English needs no catalogue and imports nothing. The catalogues are gettext's,
one a domain: a kind of document of the knowledge base (`rules`, `sites`, …), or `program` for what Python
says. `tools/catalogue.py` finds the texts and tells which have no translation: those are shown in English.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING

from vnetkb import paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from gettext import GNUTranslations, NullTranslations
    from pathlib import Path

PROGRAM = "program"
"""The domain of the texts in Python."""


class Language(StrEnum):
    """A language that reports and explanations can be in."""

    ENGLISH = "en"
    CHINESE = "zh"


_FOLDERS = {Language.CHINESE: "zh_CN"}


class Catalogue:
    """The translations into one language; a domain is read when it is first asked for.

    Attributes:
        language: The language.
    """

    def __init__(self, language: Language, folders: Sequence[Path]) -> None:
        """Keep the folders with the domains' files; an earlier one's text goes before a later one's."""
        self.language = language
        self._folders = folders
        self._domains: dict[str, NullTranslations] = {}

    def text(self, text: str, domain: str = PROGRAM, context: str | None = None) -> str:
        """Return the translation, or the English text where there is none."""
        if domain not in self._domains:
            self._domains[domain] = self._read(domain)
        key = normal(text)
        words = self._domains[domain]
        said = words.gettext(key) if context is None else words.pgettext(context, key)
        return text if said == key else said

    def _read(self, domain: str) -> NullTranslations:
        from gettext import NullTranslations  # noqa: PLC0415 - English needs none

        found = NullTranslations()
        for folder in reversed(self._folders):
            for read in _domain(folder, domain):
                read.add_fallback(found)
                found = read
        return found


_active: ContextVar[Catalogue | None] = ContextVar("catalogue", default=None)


def catalogue(language: Language, overlays: Sequence[Path] = ()) -> Catalogue | None:
    """Return the catalogue of a language, `None` for English.

    Args:
        language: The language.
        overlays: Folders with knowledge of a user's own, which may hold `locale/` as `kb/` does.
    """
    if language not in _FOLDERS:
        return None
    places = [*reversed(overlays), paths.kb_dir()]
    return Catalogue(language, [place / "locale" / _FOLDERS[language] for place in places])


@contextmanager
def speaking(language: Language, overlays: Sequence[Path] = ()) -> Iterator[None]:
    """Make `tr` answer in a language."""
    token = _active.set(catalogue(language, overlays))
    try:
        yield
    finally:
        _active.reset(token)


def spoken() -> Language:
    """Return the language that `tr` answers in."""
    active = _active.get()
    return Language.ENGLISH if active is None else active.language


def tr(text: str, /, **values: object) -> str:
    """Return a text of the program in the language that is spoken, its `{placeholders}` filled in.

    Args:
        text: The English text; a literal, or something that `mark` has marked, or it is not in the catalogue.
        values: What stands for the placeholders.
    """
    active = _active.get()
    said = text if active is None else active.text(text)
    return said.format(**values) if values else said


def tr_name(name: str, context: str) -> str:
    """Return a short name out of data, a unit or a value of an enumeration, in the language that is spoken.

    Args:
        name: The name, e.g. `packets` or `harmful`.
        context: What it is a name of, e.g. `unit` or `harm`: one of `vnetkb.kb.prose.NAMES`.
    """
    active = _active.get()
    return name if active is None else active.text(name, context=context)


def tr_count(one: str, many: str, count: int, /, **values: object) -> str:
    """Return a text about a number of things; `{count}` stands for the number.

    Args:
        one: The English text for one thing.
        many: The English text for any other number: this is the key of its translation.
        count: How many.
        values: What stands for the other placeholders.
    """
    return tr(one if count == 1 and _active.get() is None else many, count=count, **values)


def mark(text: str) -> str:
    """Return a text as it is: it will go through `tr` later, from a table or a constant."""
    return text


def normal(text: str) -> str:
    """Return a text as catalogues hold it: layout within a paragraph does not matter."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _domain(folder: Path, domain: str) -> Iterator[GNUTranslations]:
    """Yield a folder's file of a domain: compiled in a wheel, as it is written in a source tree."""
    from gettext import GNUTranslations  # noqa: PLC0415 - English needs none

    compiled, source = folder / f"{domain}.mo", folder / f"{domain}.po"
    if compiled.is_file():
        yield GNUTranslations(BytesIO(compiled.read_bytes()))
    elif source.is_file():
        import polib  # noqa: PLC0415 - a wheel needs none

        yield GNUTranslations(BytesIO(polib.pofile(str(source), encoding="utf-8").to_binary()))
