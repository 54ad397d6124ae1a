# SPDX-License-Identifier: Apache-2.0
"""Tables for pandas and spreadsheets: counters, deltas and series of a bundle as CSV or Parquet.

Counters go up to 2^64 - 1, so columns are pandas' nullable ``UInt64``: a missing value makes a float of any
other column, and a float of a large counter is wrong.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from vnetkb.errors import UsageProblem
from vnetkb.facts.readings import readings, samples
from vnetkb.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pandas as pd

    from vnetkb.bundle import Bundle
    from vnetkb.facts.model import Observations
    from vnetkb.facts.readings import Reading
    from vnetkb.kb.model import KnowledgeBase

UINT64, FLOAT, TEXT = "UInt64", "Float64", "string"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "counters": {
        "host": TEXT,
        "snapshot": UINT64,
        "wall": TEXT,
        "monotonic_s": FLOAT,
        "kind": TEXT,
        "subject": TEXT,
        "vm": TEXT,
        "counter": TEXT,
        "value": UINT64,
        "unit": TEXT,
        "members": TEXT,
        "line": UINT64,
    },
    "deltas": {
        "host": TEXT,
        "kind": TEXT,
        "subject": TEXT,
        "vm": TEXT,
        "counter": TEXT,
        "delta": UINT64,
        "seconds": FLOAT,
        "unit": TEXT,
        "per_second": FLOAT,
        "unknown_because": TEXT,
        "members": TEXT,
    },
    "series": {
        "host": TEXT,
        "sample": UINT64,
        "monotonic_s": FLOAT,
        "kind": TEXT,
        "subject": TEXT,
        "counter": TEXT,
        "value": UINT64,
        "unit": TEXT,
        "members": TEXT,
        "line": UINT64,
    },
}
"""Name and type of each table's columns, in order."""

# Spreadsheets take the wide forms as well; where a comma marks decimals, a semicolon parts their cells.
_FORMULA = re.compile('(^|;)(?=[\\s"]*[=+@＝＋－＠-])')  # noqa: RUF001
INSTALL = "install vnetkb with its tables: run pip install '.[export]' in its source tree"


def export(
    bundle: Bundle, observations: Observations, kb: KnowledgeBase, target: Path, form: str
) -> list[Path]:
    """Write the tables into a folder, which is made, and return the files.

    Args:
        bundle: The bundle.
        observations: What was observed in it.
        kb: The knowledge base, for the units.
        target: The folder.
        form: ``csv`` or ``parquet``.

    Raises:
        UsageProblem: pandas or pyarrow is not installed, or the folder cannot be written.
    """
    frames = tables(bundle, observations, kb)
    written = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            file = target / f"{name}.{form}"
            part = target / f".{name}.{form}.part"
            if form == "csv":
                _harmless(frame).to_csv(part, index=False, lineterminator="\n", encoding="utf-8")
            else:
                _parquet(frame, part)
            part.replace(file)
            written.append(file)
    except OSError as error:
        raise UsageProblem(f"{error.filename or target}: cannot be written: {error.strerror}") from error
    return written


def tables(bundle: Bundle, observations: Observations, kb: KnowledgeBase) -> dict[str, pd.DataFrame]:
    """Return the tables by name.

    Raises:
        UsageProblem: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - a third of a second, and optional
    except ImportError as error:
        raise UsageProblem(f"export needs pandas; {INSTALL}") from error
    unit = functools.cache(functools.partial(_unit, kb))
    levels = frozenset(one for group in kb.levels.values() for one in group.counters)
    found = list(readings(bundle, observations, levels))
    rows = {
        "counters": _counters(bundle, found, unit),
        "deltas": _deltas(bundle, found, unit),
        "series": _series(bundle, unit),
    }
    return {name: _frame(pd, found, COLUMNS[name]) for name, found in rows.items()}


def _frame(pd: Any, rows: Iterable[tuple[Any, ...]], columns: Mapping[str, str]) -> pd.DataFrame:  # noqa: ANN401 - the module
    values: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) or [() for _ in columns]
    return pd.DataFrame(  # type: ignore[no-any-return]
        {
            name: pd.array([_AS[kind](each) for each in column], dtype=kind)
            for (name, kind), column in zip(columns.items(), values, strict=True)
        }
    )


def _text(value: str | None) -> str | None:
    r"""Make a text printable, on one line: bytes that were not UTF-8 become ``\xff``."""
    if value is None:
        return None
    return printable(value).replace("\n", "\\n").replace("\t", "\\t")


def _unsigned(value: int | None) -> int | None:
    """Return what 64 bits hold; nothing that a kernel counted is larger."""
    return value if value is not None and 0 <= value < 1 << 64 else None


_AS: Mapping[str, Callable[[Any], Any]] = {TEXT: _text, UINT64: _unsigned, FLOAT: lambda value: value}


_UNITS = {
    "bytes": "bytes",
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "ticks": "ticks",
    "packets": "packets",
    "drops": "packets",
    "dropped": "packets",
    "errors": "packets",
    "octets": "bytes",
    "queue": "bytes",
    "memory": "bytes",
}
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _unit(kb: KnowledgeBase, counter: str) -> str:
    """Return what a counter counts: as the knowledge base has it, or else what its name ends with says."""
    kind, _, field = counter.partition(".")
    for each in (counter, f"{kind}.{_CAPITAL.sub('_', field).lower()}", f"netdev.{field}"):
        if each in kb.counters:
            return kb.counters[each].unit
    return _UNITS.get(_CAPITAL.sub("_", field).lower().rpartition("_")[2], "count")


def _counters(
    bundle: Bundle, found: Iterable[Reading], unit: Callable[[str], str]
) -> Iterable[tuple[Any, ...]]:
    host = bundle.manifest.host
    snapshots = {snapshot.n: (snapshot.wall, snapshot.monotonic_s) for snapshot in bundle.manifest.snapshots}
    for one in found:
        for point in one.points:
            wall, at = snapshots.get(point.n, (None, None)) if one.of_host else (None, None)
            yield (
                host,
                point.n,
                wall,
                at,
                one.kind,
                one.subject,
                one.vm,
                one.counter,
                point.value,
                unit(one.counter),
                point.member,
                point.line,
            )


def _deltas(
    bundle: Bundle, found: Iterable[Reading], unit: Callable[[str], str]
) -> Iterable[tuple[Any, ...]]:
    for one in found:
        delta, seconds = one.delta, one.seconds
        yield (
            bundle.manifest.host,
            one.kind,
            one.subject,
            one.vm,
            one.counter,
            delta,
            seconds,
            unit(one.counter),
            delta / seconds if delta is not None and seconds else None,
            None if delta is not None else one.why_unknown or "it needs two snapshots",
            ", ".join(dict.fromkeys(point.member for point in one.points)),
        )


def _series(bundle: Bundle, unit: Callable[[str], str]) -> Iterable[tuple[Any, ...]]:
    host = bundle.manifest.host
    for s in samples(bundle):
        counter = f"{s.kind}.{s.counter}"
        yield host, s.n, s.monotonic_s, s.kind, s.subject, s.counter, s.value, unit(counter), s.member, s.line


def _harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep a spreadsheet from taking a name, or its part after a semicolon, for a formula, by a quote.

    OWASP, CSV injection. The Parquet files hold the names as they are: no program computes cells there.
    """
    safe = frame.copy()
    for name in safe.columns[safe.dtypes == TEXT]:
        safe[name] = safe[name].str.replace(_FORMULA, r"\1'", regex=True)
    return safe


def _parquet(frame: pd.DataFrame, file: Path) -> None:
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401, ICN001, PLC0415 - clearer than pandas' own
    except ImportError as error:
        raise UsageProblem(f"export --to parquet needs pyarrow; {INSTALL}") from error
    frame.to_parquet(file, engine="pyarrow", index=False)
