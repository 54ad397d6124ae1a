# SPDX-License-Identifier: Apache-2.0
"""Tables for pandas and spreadsheets: counters, deltas and series of a bundle as CSV or Parquet.

Counters go up to 2^64 - 1, so columns are pandas' nullable ``UInt64``: a missing value makes a float of any
other column, and a float of a large counter is wrong.
"""

from __future__ import annotations

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
        "members": TEXT,
    },
    "deltas": {
        "host": TEXT,
        "kind": TEXT,
        "subject": TEXT,
        "vm": TEXT,
        "counter": TEXT,
        "delta": UINT64,
        "seconds": FLOAT,
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
        "members": TEXT,
    },
}
"""Name and type of each table's columns, in order."""

_FORMULA = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001 - spreadsheets take the wide forms as well
INSTALL = "install vnetkb with its tables: run pip install '.[export]' in its source tree"


def export(bundle: Bundle, observations: Observations, target: Path, form: str) -> list[Path]:
    """Write the tables into a folder, which is made, and return the files.

    Args:
        bundle: The bundle.
        observations: What was observed in it.
        target: The folder.
        form: ``csv`` or ``parquet``.

    Raises:
        UsageProblem: pandas or pyarrow is not installed, or the folder cannot be written.
    """
    frames = tables(bundle, observations)
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


def tables(bundle: Bundle, observations: Observations) -> dict[str, pd.DataFrame]:
    """Return the tables by name.

    Raises:
        UsageProblem: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - a third of a second, and optional
    except ImportError as error:
        raise UsageProblem(f"export needs pandas; {INSTALL}") from error
    rows = {
        "counters": _counters(bundle, observations),
        "deltas": _deltas(bundle, observations),
        "series": _series(bundle),
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


def _counters(bundle: Bundle, observations: Observations) -> Iterable[tuple[Any, ...]]:
    manifest = bundle.manifest
    for one in readings(observations):
        values, places = one.counted.values, one.counted.captures  # noqa: PD011 - no frame
        every = places if len(places) == len(values) else (", ".join(places),) * len(values)
        for snapshot, value, members in zip(manifest.snapshots, values, every, strict=False):
            yield (
                manifest.host,
                snapshot.n,
                snapshot.wall,
                snapshot.monotonic_s,
                one.kind,
                one.subject,
                one.vm,
                one.counter,
                value,
                members,
            )


def _deltas(bundle: Bundle, observations: Observations) -> Iterable[tuple[Any, ...]]:
    for one in readings(observations):
        counted = one.counted
        delta = None if counted.one_snapshot else counted.delta
        seconds = one.seconds
        rate = delta / seconds if delta is not None and seconds else None
        why = None if delta is not None else counted.why_unknown or "it needs two snapshots"
        members = ", ".join(counted.captures)
        yield (
            bundle.manifest.host,
            one.kind,
            one.subject,
            one.vm,
            one.counter,
            delta,
            seconds,
            rate,
            why,
            members,
        )


def _series(bundle: Bundle) -> Iterable[tuple[Any, ...]]:
    host = bundle.manifest.host
    for s in samples(bundle):
        yield host, s.n, s.monotonic_s, s.kind, s.subject, s.counter, s.value, s.member


def _harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep a spreadsheet from taking a name for a formula: a quote before it makes it a text.

    OWASP, CSV injection. The Parquet files hold the names as they are: no program computes cells there.
    """
    safe = frame.copy()
    for name in safe.columns[safe.dtypes == TEXT]:
        column = safe[name]
        safe[name] = column.where(~column.str.startswith(_FORMULA, na=False), "'" + column)
    return safe


def _parquet(frame: pd.DataFrame, file: Path) -> None:
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401, ICN001, PLC0415 - clearer than pandas' own
    except ImportError as error:
        raise UsageProblem(f"export --to parquet needs pyarrow; {INSTALL}") from error
    frame.to_parquet(file, engine="pyarrow", index=False)
