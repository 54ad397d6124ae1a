# SPDX-License-Identifier: Apache-2.0
"""Holds the cited code sites against kernel source.

For one kernel source it finds every cited statement and records its line. It fails on a site that is gone, on
one that is there although its `kernels` say it is not, and on a statement that moves a listed counter and is
claimed by no site.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vnetkb.errors import UnusableInput
from vnetkb.kb import csource, walkthrough
from vnetkb.kb.kernels import numbers, variants
from vnetkb.kb.verified import VERIFIED_FOLDER, SiteLines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vnetkb.kb.model import KnowledgeBase
    from vnetkb.kb.reference import Cited, CountedIn, Counter, Move, Site
    from vnetkb.kb.walkthrough import CodeReference, SourceFault

_MAKEFILE = "Makefile"
_MAKEFILE_LINE = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)\s*$", re.MULTILINE)
_LARGEST_FILE = 4 * 1024 * 1024


class VerifyCode(StrEnum):
    """What can be wrong between the knowledge base and a source."""

    FILE_GONE = "file-gone"
    FUNCTION_GONE = "function-gone"
    STATEMENT_GONE = "statement-gone"
    AMBIGUOUS = "statement-ambiguous"
    WRONG_RANGE = "wrong-kernels-range"
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True)
class VerifyFault:
    """One disagreement.

    Attributes:
        code: Its kind.
        subject: The site, for an unclaimed statement the counter, for a reference its file and line.
        place: `file:function` or `file:line`.
        text: What was found and what was expected.
    """

    code: VerifyCode
    subject: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class CounterRow:
    """How many counting statements a counter has in a source, and how many of them a site claims."""

    counter: str
    claimed: int
    unclaimed: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for one source.

    Attributes:
        version: The kernel's version, e.g. `6.1.192`.
        series: Its series, e.g. `6.1`.
        listed: Whether any site lists the series; if none does, absent sites are no faults.
        files: The files that were read.
        functions: How many functions they have.
        sites: The lines of the sites that the source has.
        absent: The sites that it rightly does not have.
        counters: The counting statements by counter.
        faults: What is wrong.
    """

    version: str
    series: str
    listed: bool
    files: tuple[str, ...]
    functions: int
    sites: Mapping[str, SiteLines]
    absent: tuple[str, ...]
    counters: tuple[CounterRow, ...]
    faults: tuple[VerifyFault, ...]


class Source(Mapping[str, Mapping[str, tuple[csource.Function, ...]]]):
    """The functions of the files of a kernel source that the knowledge base cites, by path."""

    def __init__(self, version: str, files: Mapping[str, bytes]) -> None:
        """Parse the files of a kernel of that version."""
        self.version = version
        self._functions = {path: csource.functions(content) for path, content in files.items()}

    def replacing(self, path: str, content: bytes) -> Source:
        """Return the same source with another content of one file; the other files are not parsed again."""
        source = Source(self.version, {path: content})
        source._functions = {**self._functions, **source._functions}
        return source

    def __getitem__(self, path: str) -> Mapping[str, tuple[csource.Function, ...]]:
        """Return the functions of a file."""
        return self._functions[path]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths."""
        return iter(self._functions)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._functions)

    def statements(self, path: str, function: str) -> Iterator[csource.Statement]:
        """Yield the statements of a function, of all its definitions."""
        for definition in self._functions.get(path, {}).get(function, ()):
            yield from definition.statements


def verify(kb: KnowledgeBase, source: Path, codes: Sequence[CodeReference] = ()) -> Verified:
    """Check the knowledge base against a kernel source.

    Args:
        kb: The knowledge base.
        source: A source tree, or a tarball of one, which is read without unpacking it.
        codes: References of the walk-through to functions (`vnetkb.kb.walkthrough.references`).

    Raises:
        UnusableInput: It is no kernel source.
    """
    return verify_source(kb, read_source(source, cited_files(kb, codes)), codes)


def read_source(path: Path, wanted: Iterable[str]) -> Source:
    """Return the functions of the wanted files of a source tree or tarball.

    Raises:
        UnusableInput: It is neither, or has no kernel's Makefile.
    """
    return Source(*read_files(path, wanted))


def read_files(path: Path, wanted: Iterable[str]) -> tuple[str, dict[str, bytes]]:
    """Return the version of a source tree or tarball, and those of the wanted files that it has.

    Raises:
        UnusableInput: It is neither, or has no kernel's Makefile.
    """
    names = {*wanted, _MAKEFILE}
    files = _from_tree(path, names) if path.is_dir() else _from_tarball(path, names)
    makefile = files.pop(_MAKEFILE, b"").decode("utf-8", "replace")
    version = dict(_MAKEFILE_LINE.findall(makefile))
    if "VERSION" not in version or "PATCHLEVEL" not in version:
        raise UnusableInput(
            file=path, member=_MAKEFILE, found="no kernel version", expected="a Linux source tree or tarball"
        )
    parts = [version["VERSION"], version["PATCHLEVEL"], version.get("SUBLEVEL", "0")]
    return ".".join(parts), files


def cited_files(kb: KnowledgeBase, codes: Iterable[CodeReference] = ()) -> frozenset[str]:
    """Return the paths of all source files that sites, counters or the walk-through's references name."""
    files = {site.file for site in kb.sites.values()} | {code.file for code in codes}
    files |= {move.file for site in kb.sites.values() for move in site.moves}
    files |= {file for counter in kb.counters.values() for part in counter.counted_in for file in part.files}
    return frozenset(files)


def verify_source(kb: KnowledgeBase, source: Source, codes: Sequence[CodeReference] = ()) -> Verified:
    """Check the knowledge base, and references of the walk-through, against a parsed kernel source."""
    series = ".".join(str(number) for number in numbers(source.version)[:2])
    check = _Check(kb, source, series)
    for site in kb.sites.values():
        check.site(site)
    if check.listed:
        for fault in walkthrough.check_source(codes, source, series):
            check.code(fault)
    rows = tuple(check.counter(counter) for counter in kb.counters.values() if counter.counted_in)
    return Verified(
        version=source.version,
        series=series,
        listed=check.listed,
        files=tuple(sorted(source)),
        functions=sum(len(functions) for functions in source.values()),
        sites=check.found,
        absent=tuple(check.absent),
        counters=rows,
        faults=tuple(check.faults),
    )


def to_text(result: Verified, kept: Mapping[str, Mapping[str, SiteLines]] | None = None) -> str:
    """Return a result as text: what was read, the faults, and counting statements by counter.

    Args:
        result: The result.
        kept: The results that were kept (`vnetkb.kb.verified.load_lines`): of another patch level of the same
            series it is told how far it differs.
    """
    rows = [("counter", "claimed", "unclaimed")]
    rows += [(row.counter, str(row.claimed), str(row.unclaimed)) for row in result.counters]
    width = max(len(row[0]) for row in rows)
    lines = [
        f"Linux {result.version}: read {len(result.files)} files with {result.functions} functions",
        f"sites: {len(result.sites)} found, {len(result.absent)} rightly not there",
        *(f"{name.ljust(width)}  {claimed:>7}  {unclaimed:>9}" for name, claimed, unclaimed in rows),
    ]
    if not result.listed:
        lines.append(f"no site lists {result.series}: what this source does not have is no fault")
    lines += _beside(result, kept or {})
    lines += (f"{fault.place}: {fault.subject}: {fault.text} [{fault.code}]" for fault in result.faults)
    lines.append(f"{len(result.faults)} fault{'' if len(result.faults) == 1 else 's'}")
    return "\n".join(lines) + "\n"


def _beside(result: Verified, kept: Mapping[str, Mapping[str, SiteLines]]) -> Iterator[str]:
    """Say how a source differs from the patch level of its series that the claims were read in."""
    series = numbers(result.version)[:2]
    for version, sites in kept.items():
        if version == result.version or numbers(version)[:2] != series:
            continue
        both = result.sites.keys() & sites.keys()
        moved = sum(1 for site in both if result.sites[site].line != sites[site].line)
        gone = len(sites.keys() - result.sites.keys())
        yield (
            f"the claims for {result.series} were read in {version}: {moved} of {len(both)} sites stand at"
            f" another line here, {gone} more are not here"
        )
        if result.faults:
            yield (
                f"a fault may only mean that an update between {version} and {result.version}"
                " changed that code"
            )


def digest(kb: KnowledgeBase) -> str:
    """Return a checksum of everything that a verification depends on, to see whether a result is stale."""
    claims = [
        [
            site.id,
            site.file,
            site.function,
            _claim(site.statement),
            site.kernels,
            [
                [move.counter, move.file, move.function, _claim(move.statement), move.kernels]
                for move in site.moves
            ],
        ]
        for site in kb.sites.values()
    ]
    scopes = [
        [
            counter.id,
            [[part.files, part.fields, part.helpers] for part in counter.counted_in],
            [[part.file, part.function] for part in counter.summed_in],
        ]
        for counter in kb.counters.values()
        if counter.counted_in
    ]
    return hashlib.sha256(json.dumps([sorted(claims), sorted(scopes)]).encode()).hexdigest()


def as_data(kb: KnowledgeBase, result: Verified) -> dict[str, Any]:
    """Return the result as it is kept in `kb/verified/`."""
    return {
        "version": result.version,
        "claims_sha256": digest(kb),
        "sites": {
            site: {"line": lines.line, "counts": dict(sorted(lines.counts.items()))}
            for site, lines in sorted(result.sites.items())
        },
        "counters": {
            row.counter: {"claimed": row.claimed, "unclaimed": row.unclaimed} for row in result.counters
        },
    }


def write_result(folder: Path, kb: KnowledgeBase, result: Verified) -> Path:
    """Keep a result in a knowledge base folder and return its file; older ones of the series are removed."""
    kept = folder / VERIFIED_FOLDER
    kept.mkdir(exist_ok=True)
    for old in kept.glob(f"{result.series}.*.json"):
        old.unlink()
    file = kept / f"{result.version}.json"
    file.write_text(json.dumps(as_data(kb, result), indent=1) + "\n", encoding="utf-8")
    return file


def stale_results(folder: Path, kb: KnowledgeBase) -> list[str]:
    """Return what of the kept results does not fit the knowledge base any more, one line each.

    Every series whose source a site was read in needs a result, made with the claims as they are now.
    """
    now = digest(kb)
    kept = {}
    faults = []
    for file in sorted((folder / VERIFIED_FOLDER).glob("*.json")):
        data = json.loads(file.read_bytes())
        kept[".".join(data["version"].split(".")[:2])] = file.name
        if data["claims_sha256"] != now:
            faults.append(f"{VERIFIED_FOLDER}/{file.name}: made with other claims, run kb verify again")
    read = {series for site in kb.sites.values() for series in site.proof.source}
    faults += [f"no result for {series}, run kb verify" for series in sorted(read - set(kept), key=numbers)]
    return faults


class _Check:
    def __init__(self, kb: KnowledgeBase, source: Source, series: str) -> None:
        self._kb = kb
        self._source = source
        self._series = series
        self.listed = any(series in site.kernels for site in kb.sites.values())
        self.found: dict[str, SiteLines] = {}
        self.absent: list[str] = []
        self.faults: list[VerifyFault] = []
        self._claimed: dict[str, set[tuple[str, int]]] = {}

    def site(self, site: Site) -> None:
        if self._series not in site.kernels:
            self._site_not_expected(site)
            return
        if self._may_be_missing(site) and self._first(site.file, site.function, site.statement) is None:
            self.absent.append(site.id)
            return
        line = self._cited(site.id, site.file, site.function, site.statement)
        counts = {}
        for move in site.moves:
            if self._series in move.kernels:
                counted = self._cited(site.id, move.file, move.function, move.statement)
                if counted is not None:
                    counts[move.counter] = counted
                    self._claimed.setdefault(move.counter, set()).add((move.file, counted))
            else:
                self._move_not_expected(site, move)
        if line is not None:
            self.found[site.id] = SiteLines(line, counts)

    def code(self, fault: SourceFault) -> None:
        reference = fault.reference
        version = self._source.version
        if fault.has_function:
            code, text = VerifyCode.WRONG_RANGE, f"it is in {version}, the note after it leaves that out"
        elif fault.has_file:
            code, text = VerifyCode.FUNCTION_GONE, f"{version} has no such function"
        else:
            code, text = VerifyCode.FILE_GONE, f"{version} has no such file"
        self._fault(code, str(reference.where), f"{reference.file}:{reference.function}()", text)

    def counter(self, counter: Counter) -> CounterRow:
        summing = {(part.file, part.function) for part in counter.summed_in}
        claimed = self._claimed.get(counter.id, set())
        seen = 0
        unclaimed = 0
        for part in counter.counted_in:
            counting = _counting(part)
            for path, name, statement in self._statements(part.files):
                if (path, name) in summing or not counting.search(statement.text):
                    continue
                if (path, statement.line) in claimed:
                    seen += 1
                    continue
                unclaimed += 1
                text = f"{name}() has `{statement.text}`, no site claims it"
                self._fault(VerifyCode.UNCLAIMED, counter.id, f"{path}:{statement.line}", text)
        return CounterRow(counter.id, seen, unclaimed)

    def _statements(self, files: Iterable[str]) -> Iterator[tuple[str, str, csource.Statement]]:
        for path in files:
            for name in self._source.get(path, {}):
                for statement in self._source.statements(path, name):
                    yield path, name, statement

    def _cited(self, subject: str, path: str, function: str, cited: tuple[Cited, ...]) -> int | None:
        place = f"{path}:{function}()"
        if path not in self._source:
            self._fault(VerifyCode.FILE_GONE, subject, path, f"{self._source.version} has no such file")
            return None
        if function not in self._source[path]:
            self._fault(
                VerifyCode.FUNCTION_GONE, subject, place, f"{self._source.version} has no such function"
            )
            return None
        wanted = variants(cited, self._series)
        lines = {line for each in wanted for line in self._lines(subject, path, function, each)}
        if not lines:
            texts = " or ".join(f"`{each.text}`" for each in wanted) or "a statement"
            self._fault(VerifyCode.STATEMENT_GONE, subject, place, f"{self._source.version} has no {texts}")
            return None
        return min(lines)

    def _lines(self, subject: str, path: str, function: str, cited: Cited) -> list[int]:
        text = csource.normalise(cited.text)
        lines = [each.line for each in self._source.statements(path, function) if each.text == text]
        if cited.nth is not None:
            return lines[cited.nth - 1 : cited.nth]
        if len(lines) > 1:
            self._fault(
                VerifyCode.AMBIGUOUS,
                subject,
                f"{path}:{function}()",
                f"{self._source.version} has `{cited.text}` {len(lines)} times, say which with nth",
            )
        return lines

    def _site_not_expected(self, site: Site) -> None:
        line = self._first(site.file, site.function, site.statement)
        if line is None:
            self.absent.append(site.id)
        elif self.listed and all(
            self._first(move.file, move.function, move.statement) is not None for move in site.moves
        ):
            text = f"it is in {self._source.version}, its kernels do not list {self._series}"
            self._fault(VerifyCode.WRONG_RANGE, site.id, f"{site.file}:{line}", text)
        else:
            self.absent.append(site.id)

    def _move_not_expected(self, site: Site, move: Move) -> None:
        line = self._first(move.file, move.function, move.statement)
        if line is not None:
            text = (
                f"it moves {move.counter} in {self._source.version}, its kernels do not list {self._series}"
            )
            self._fault(VerifyCode.WRONG_RANGE, site.id, f"{move.file}:{line}", text)

    def _may_be_missing(self, site: Site) -> bool:
        """Tell whether the version is older than the first of its series that is known to have the site."""
        first = site.since.get(self._series)
        return first is not None and numbers(self._source.version) < numbers(first)

    def _first(self, path: str, function: str, cited: tuple[Cited, ...]) -> int | None:
        """Return the line of any of the texts, whichever series they are for."""
        for each in cited:
            text = csource.normalise(each.text)
            lines = [found.line for found in self._source.statements(path, function) if found.text == text]
            if len(lines) >= (each.nth or 1):
                return lines[(each.nth or 1) - 1]
        return None

    def _fault(self, code: VerifyCode, subject: str, place: str, text: str) -> None:
        self.faults.append(VerifyFault(code, subject, place, text))


def _claim(cited: Iterable[Cited]) -> list[list[object]]:
    return [[csource.normalise(each.text), each.kernels, each.nth] for each in cited]


def _counting(part: CountedIn) -> re.Pattern[str]:
    """Return a pattern of normalised statements that change one of the members or call one of the helpers."""
    alternatives = []
    if part.fields:
        member = rf"\b(?:{'|'.join(map(re.escape, part.fields))})\b"
        alternatives += [
            rf"\b\w*(?:inc|add|sub|dec|INC|ADD|SUB|DEC)\w*\((?:[^;]*[^\w])?{member}",
            rf"{member}(?:\[[^]]*\])?(?:\+\+|--|[-+|]?=(?!=))",
            rf"(?:\+\+|--)[\w>.\[\]()*&-]*{member}",
            rf"\bWRITE_ONCE\((?:[^,;]*[^\w])?{member}(?:\[[^]]*\])?,",
            rf"\w=&[\w>.\[\]()-]*{member};",  # a pointer through which it is counted
        ]
    if part.helpers:
        alternatives.append(rf"\b(?:{'|'.join(map(re.escape, part.helpers))})\(")
    return re.compile("|".join(alternatives))


def _from_tree(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _from_tarball(file: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Stream a tarball up to the last wanted file; members lie below one top folder."""
    missing = set(names)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(file, mode="r|*") as archive:
            for member in archive:
                name = PurePosixPath(*PurePosixPath(member.name).parts[1:]).as_posix()
                if name in missing and member.isfile() and member.size <= _LARGEST_FILE:
                    content = archive.extractfile(member)
                    found[name] = b"" if content is None else content.read()
                    missing.discard(name)
                if not missing:
                    break
    except (OSError, tarfile.TarError, EOFError) as fault:
        raise UnusableInput(
            file=file,
            found=getattr(fault, "strerror", None) or str(fault) or type(fault).__name__,
            expected="a kernel source tree or tarball",
        ) from fault
    return found
