# SPDX-License-Identifier: Apache-2.0
"""Checks the references of the kernel walk-through, the chapters under `kb/walkthrough/`.

A chapter points at what it speaks of with MyST roles, each on one line:

- ``{code}`net/core/dev.c:dev_get_stats` ``: a function of the kernel, with the series that have it where
  not all of the read ones do: ``{code}`kernel/vhost_task.c:vhost_task_fn [6.12 7.2]` ``;
- ``{site}``, ``{counter}``, ``{rule}``, ``{behaviour}``, ``{remedy}``, ``{fact}``: an item of the knowledge
  base by its id.

A function that a chapter names, `dev_get_stats()`, must be in one of the chapter's references, so that no
statement about code escapes the check against source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from vnetkb.kb.model import KnowledgeBase

FOLDER = "walkthrough"
"""The folder of the knowledge base that holds the chapters."""

_ROLE = re.compile(r"\{([A-Za-z][A-Za-z-]*)\}`([^`]*)(`?)")
_CODE = re.compile(r"([\w./-]+\.[ch]):([A-Za-z_]\w*)(?: \[([\w. ]+)\])?")
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(\)")
_LINK = re.compile(r"\]\(([^()#:]+\.md)(?:#[^()]*)?\)")
_FENCE = re.compile(r"(```+|~~~+)")


class ReferenceKind(StrEnum):
    """What a reference points at; the name of its role."""

    CODE = "code"
    SITE = "site"
    COUNTER = "counter"
    RULE = "rule"
    BEHAVIOUR = "behaviour"
    REMEDY = "remedy"
    FACT = "fact"


_ITEMS: Mapping[ReferenceKind, Callable[[KnowledgeBase], Collection[str]]] = {
    ReferenceKind.SITE: lambda kb: kb.sites,
    ReferenceKind.COUNTER: lambda kb: kb.counters,
    ReferenceKind.RULE: lambda kb: kb.rules,
    ReferenceKind.BEHAVIOUR: lambda kb: kb.behaviours,
    ReferenceKind.REMEDY: lambda kb: kb.remedies,
    ReferenceKind.FACT: lambda kb: kb.facts,
}
_ROLES = frozenset(each.value for each in ReferenceKind)


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a chapter.

    Attributes:
        chapter: The file's name.
        line: The line, from 1.
    """

    chapter: str
    line: int

    def __str__(self) -> str:
        """Return the place below the knowledge base folder, as an editor opens it."""
        return f"{FOLDER}/{self.chapter}:{self.line}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A role as it is written; whether it means anything is not known yet.

    Attributes:
        role: The role's name.
        target: What is between the backquotes.
        closed: The closing backquote is on the same line.
        where: Where it is.
    """

    role: str
    target: str
    closed: bool
    where: Where


@dataclass(frozen=True, slots=True)
class CodeReference:
    """A kernel function that a chapter speaks of.

    Attributes:
        file: Its file in the kernel source.
        function: Its name.
        kernels: The series that have it; none means every series that was read.
        where: Where the chapter refers to it.
    """

    file: str
    function: str
    kernels: tuple[str, ...]
    where: Where


class FaultCode(StrEnum):
    """What can be wrong in a chapter."""

    MALFORMED = "malformed-reference"
    UNKNOWN_ROLE = "unknown-role"
    UNKNOWN_ID = "unknown-id"
    UNKNOWN_KERNEL = "unknown-kernel"
    NO_REFERENCE = "function-without-reference"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class ChapterFault:
    """One thing that is wrong in a chapter.

    Attributes:
        code: Its kind.
        where: The line.
        text: What was found and what was expected.
    """

    code: FaultCode
    where: Where
    text: str

    def __str__(self) -> str:
        """Return the fault as one line."""
        return f"{self.where}: {self.text} [{self.code}]"


@dataclass(frozen=True, slots=True)
class SourceFault:
    """A code reference that a kernel source does not bear out.

    Attributes:
        reference: The reference.
        has_file: The source has the file.
        has_function: The source has the function, although the reference's `kernels` do not list its series.
    """

    reference: CodeReference
    has_file: bool
    has_function: bool


def references(kb_folder: Path) -> tuple[CodeReference, ...]:
    """Return the kernel functions that the walk-through of a knowledge base folder speaks of.

    What is malformed is left out; `check` tells it.

    Args:
        kb_folder: The folder `kb/`. One without chapters has no references.
    """
    return tuple(
        code
        for name, text in read_chapters(kb_folder).items()
        for code in code_references(extract(name, text))
    )


def read_chapters(kb_folder: Path) -> dict[str, str]:
    """Return the chapters of a knowledge base folder by file name, in reading order."""
    return {file.name: file.read_text("utf-8") for file in sorted((kb_folder / FOLDER).glob("*.md"))}


def extract(chapter: str, text: str) -> tuple[Reference, ...]:
    """Return all roles of a chapter with their lines; fenced blocks have none.

    Args:
        chapter: The file's name.
        text: Its Markdown.
    """
    return tuple(
        Reference(match[1], match[2].strip(), bool(match[3]), Where(chapter, number))
        for number, line, fenced in _lines(text)
        if not fenced
        for match in _ROLE.finditer(line)
    )


def code_references(found: Iterable[Reference]) -> tuple[CodeReference, ...]:
    """Return the well-formed references to code among the roles of a chapter."""
    codes = []
    for reference in found:
        match = _CODE.fullmatch(reference.target)
        if reference.role == ReferenceKind.CODE and reference.closed and match is not None:
            codes.append(CodeReference(match[1], match[2], tuple((match[3] or "").split()), reference.where))
    return tuple(codes)


def check(chapters: Mapping[str, str], kb: KnowledgeBase) -> tuple[ChapterFault, ...]:
    """Return what is wrong in the chapters without looking at kernel source.

    Args:
        chapters: The Markdown of each chapter by file name, as `read_chapters` gives it.
        kb: The knowledge base whose ids the references name.
    """
    series = frozenset(each for site in kb.sites.values() for each in site.kernels)
    return tuple(
        fault
        for name, text in chapters.items()
        for part in (
            _reference_faults(extract(name, text), kb, series),
            _unreferenced(name, text, kb),
            _links(name, text, chapters),
        )
        for fault in part
    )


def check_source(
    codes: Iterable[CodeReference], functions: Mapping[str, Collection[str]], series: str
) -> tuple[SourceFault, ...]:
    """Return the references that a kernel source does not bear out.

    A function must be there if the reference lists the source's series or none, and must not be there if it
    lists others only.

    Args:
        codes: The references.
        functions: The names of the functions of each file of the source.
        series: The source's series, e.g. `6.1`; one that the knowledge base lists.
    """
    faults = []
    for code in codes:
        found = code.function in functions.get(code.file, ())
        if found != (not code.kernels or series in code.kernels):
            faults.append(SourceFault(code, has_file=code.file in functions, has_function=found))
    return tuple(faults)


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield number, text and whether it is in a fenced block, of each line."""
    fence: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        match = _FENCE.match(line.lstrip())
        if fence is None and match is not None:
            fence = match[1]
            yield number, line, True
        elif fence is not None and match is not None and line.strip() == match[1] and match[1] >= fence:
            fence = None
            yield number, line, True
        else:
            yield number, line, fence is not None


def _reference_faults(
    found: Iterable[Reference], kb: KnowledgeBase, series: Collection[str]
) -> Iterator[ChapterFault]:
    for each in found:
        if each.role not in _ROLES:
            known = ", ".join(ReferenceKind)
            text = f"there is no role {{{each.role}}}, expected one of {known}"
            yield ChapterFault(FaultCode.UNKNOWN_ROLE, each.where, text)
        elif not each.closed:
            text = f"{{{each.role}}} `{each.target}` has no closing backquote on its line"
            yield ChapterFault(FaultCode.MALFORMED, each.where, text)
        elif each.role == ReferenceKind.CODE:
            yield from _code_faults(each, series)
        elif each.target not in _ITEMS[ReferenceKind(each.role)](kb):
            text = f"the knowledge base has no {each.role} `{each.target}`"
            yield ChapterFault(FaultCode.UNKNOWN_ID, each.where, text)


def _code_faults(reference: Reference, series: Collection[str]) -> Iterator[ChapterFault]:
    codes = code_references([reference])
    if not codes:
        text = f"`{reference.target}` is no `file:function`, which may have its series after it: `[6.1 6.12]`"
        yield ChapterFault(FaultCode.MALFORMED, reference.where, text)
    for code in codes:
        for kernel in code.kernels:
            if kernel not in series:
                text = f"no site of the knowledge base lists the kernel series {kernel}"
                yield ChapterFault(FaultCode.UNKNOWN_KERNEL, reference.where, text)


def _unreferenced(chapter: str, text: str, kb: KnowledgeBase) -> Iterator[ChapterFault]:
    found = extract(chapter, text)
    known = {code.function for code in code_references(found)}
    known |= {
        kb.sites[each.target].function
        for each in found
        if each.role == ReferenceKind.SITE and each.target in kb.sites
    }
    for number, line, _ in _lines(text):
        for match in _CALL.finditer(line):
            if match[1] not in known:
                reason = f"{match[1]}() is in no {{code}} or {{site}} reference of the chapter"
                yield ChapterFault(FaultCode.NO_REFERENCE, Where(chapter, number), reason)


def _links(chapter: str, text: str, chapters: Collection[str]) -> Iterator[ChapterFault]:
    for number, line, fenced in _lines(text):
        if fenced:
            continue
        for match in _LINK.finditer(line):
            if match[1] not in chapters:
                reason = f"the link leads to {match[1]}, which is no chapter"
                yield ChapterFault(FaultCode.LINK, Where(chapter, number), reason)
