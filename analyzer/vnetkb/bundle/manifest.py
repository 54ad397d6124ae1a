# SPDX-License-Identifier: Apache-2.0
"""manifest.json: what was collected, when, how, and why something is missing.

The reader here demands what schemas/manifest.schema.json demands, without the price of importing jsonschema;
a test holds the two to the same verdicts.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 1

_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CAPTURE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_INTEGER_DIGITS = 30
_VALUES_AT_MOST = 1_000_000
_SHOWN = 60


class ManifestFault(Exception):
    """The manifest is not as its schema demands.

    Attributes:
        where: Path in the document, like ``captures[3].sha256``; empty for the document as a whole.
        found: What is there, one printable line.
        expected: What the schema demands.
    """

    def __init__(self, where: str, found: str, expected: str) -> None:
        """Keep the parts."""
        super().__init__(f"{where or 'the document'}: found {found}, expected {expected}")
        self.where = where
        self.found = found
        self.expected = expected


class NewerMajor(ManifestFault):
    """The manifest is of a schema that this vnetkb does not know."""


class Contradiction(ManifestFault):
    """The manifest is as its schema demands and still says two things that cannot both be true."""


class Absent(NamedTuple):
    """Why a capture is not there.

    Attributes:
        reason: ``tool-missing``, ``not-root``, ``not-supported``, ``timed-out``, ``not-asked``, ``failed``,
            ``empty``, ``not-found``, or a reason that a later collector knows.
        detail: What the collector adds in its own words; may be empty.
    """

    reason: str
    detail: str


class Moment(NamedTuple):
    """A point in time by two clocks.

    Attributes:
        wall: UTC time as ISO 8601 text.
        monotonic_s: Seconds of the host's monotonic clock, as /proc/uptime counts them.
    """

    wall: str
    monotonic_s: float


class Snapshot(NamedTuple):
    """Captures taken together.

    Attributes:
        n: Number of the snapshot, from 0.
        wall: UTC time of its beginning as ISO 8601 text.
        monotonic_s: Monotonic seconds of its beginning.
        end_monotonic_s: Monotonic seconds of its end; None where the collector was stopped before.
    """

    n: int
    wall: str
    monotonic_s: float
    end_monotonic_s: float | None


class Capture(NamedTuple):
    """The raw output of one command or file, or why there is none.

    Attributes:
        id: Kind of the text, as in kb/captures.
        scope: ``host``, ``series`` or ``guest:<vm>``.
        snapshot: Number of the snapshot; None for the series.
        path: Member inside the top folder; None when absent.
        argv: The command as it was run.
        exit_status: Its exit status; None when it was not run.
        start_monotonic_s: When it began, monotonic seconds.
        duration_s: How long it took, seconds.
        bytes: Size of the member.
        sha256: Sum of the member, 64 hex digits.
        truncated: The text was cut at a size or time limit.
        absent: Why it is not there; None when it is.
        remark: What a reader should know of it, such as what was cut out; may be empty.
    """

    id: str
    scope: str
    snapshot: int | None
    path: str | None
    argv: tuple[str, ...]
    exit_status: int | None
    start_monotonic_s: float | None
    duration_s: float | None
    bytes: int | None
    sha256: str | None
    truncated: bool
    absent: Absent | None
    remark: str = ""

    @property
    def place(self) -> str:
        """The member path that a capture of this kind has, whether it is there or not."""
        return self.path or member_path(self.id, self.snapshot, self.scope)


class Manifest(NamedTuple):
    """The whole manifest. Keys that are not named here are passed over.

    Attributes:
        schema_version: ``major.minor`` of the schema.
        collector_name: Name of the collector.
        collector_version: Version of the collector.
        collector_sha256: Sum of the collector script; None where the host had no tool for it.
        host: Name of the host.
        kernel_release: As `uname -r` prints it.
        kernel_version: As `uname -v` prints it.
        machine: As `uname -m` prints it.
        boot_id: Changes at every boot.
        root: The collector ran as root.
        masked: Names and addresses are replaced by pseudonyms.
        start: When the collection began.
        end: When it ended.
        options: Options of the collector.
        wait_for_drop: What ``--wait-for-drop`` saw; None when it was not asked for.
        trace: Clock, times and lost events of the recording; None when there is none.
        series: Interval and number of samples; None when there is no series.
        notes: What the collector has to say to a reader of the bundle.
        snapshots: In the order of their numbers.
        captures: Everything that was taken or missed.
    """

    schema_version: str
    collector_name: str
    collector_version: str
    collector_sha256: str | None
    host: str
    kernel_release: str
    kernel_version: str
    machine: str
    boot_id: str
    root: bool
    masked: bool
    start: Moment
    end: Moment
    options: Mapping[str, Any]
    wait_for_drop: Mapping[str, Any] | None
    trace: Mapping[str, Any] | None
    series: Mapping[str, Any] | None
    notes: tuple[str, ...]
    snapshots: tuple[Snapshot, ...]
    captures: tuple[Capture, ...]


def member_path(capture_id: str, snapshot: int | None, scope: str) -> str:
    """Return the member path of a capture inside the top folder, like ``host/1/sysfs-net``."""
    if snapshot is None:
        return f"{scope}/{capture_id}"
    return f"{scope.replace(':', '/', 1)}/{snapshot}/{capture_id}"


def load_document(data: bytes) -> dict[str, Any]:
    """Return manifest.json as plain objects, before anything in it is checked.

    Raises:
        ManifestFault: It is not UTF-8, not JSON, nests too deeply, or holds NaN, a key twice or an enormous
            number.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _VALUES_AT_MOST:
        raise ManifestFault("", "more values than any collection has", f"at most {_VALUES_AT_MOST}")
    try:
        document = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=_no_duplicates,
        )
    except UnicodeDecodeError as error:
        raise ManifestFault("", f"the byte 0x{data[error.start]:02x} at {error.start}", "UTF-8") from None
    except json.JSONDecodeError as error:
        raise ManifestFault("", f"{error.msg} in line {error.lineno}", "JSON") from None
    except RecursionError:
        raise ManifestFault("", "nesting without end", "JSON of sensible depth") from None
    return _object(document, "")


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest from the bytes of manifest.json.

    Raises:
        NewerMajor: Its schema has a newer major number.
        Contradiction: A snapshot or a capture is named twice, or time goes back.
        ManifestFault: It is not as the schema demands.
    """
    document = load_document(data)
    _check_version(_text(document, "schema_version", ""))
    collector = _child(document, "collector", "")
    kernel = _child(document, "kernel", "")
    manifest = Manifest(
        schema_version=document["schema_version"],
        collector_name=_text(collector, "name", "collector"),
        collector_version=_text(collector, "version", "collector"),
        collector_sha256=_optional(collector, "sha256", "collector", _sum),
        host=_name(_child(document, "host", ""), "name", "host"),
        kernel_release=_text(kernel, "release", "kernel"),
        kernel_version=_text(kernel, "version", "kernel"),
        machine=_text(kernel, "machine", "kernel"),
        boot_id=_text(document, "boot_id", ""),
        root=_boolean(document, "root", ""),
        masked=_boolean(document, "masked", ""),
        start=_moment(document, "start"),
        end=_moment(document, "end"),
        options=_child(document, "options", ""),
        wait_for_drop=_optional(document, "wait_for_drop", "", _child),
        trace=_optional(document, "trace", "", _child),
        series=_optional(document, "series", "", _child),
        notes=_texts(document, "notes", "") if "notes" in document else (),
        snapshots=tuple(
            _snapshot(item, f"snapshots[{index}]")
            for index, item in enumerate(_array(document, "snapshots", ""))
        ),
        captures=tuple(
            _capture(item, f"captures[{index}]")
            for index, item in enumerate(_array(document, "captures", ""))
        ),
    )
    for part in _PARTS:
        _check_part(getattr(manifest, part), part)
    _check_unique(manifest)
    return manifest


def _check_version(version: str) -> None:
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ManifestFault("schema_version", _shown(version), "MAJOR.MINOR")
    if int(match[1]) > SCHEMA_MAJOR:
        raise NewerMajor("schema_version", version, f"{SCHEMA_MAJOR}.x; a newer vnetkb reads it")
    if int(match[1]) < SCHEMA_MAJOR:
        raise ManifestFault("schema_version", version, f"{SCHEMA_MAJOR}.x")


def is_newer_minor(version: str) -> bool:
    """Tell whether a bundle of the known major schema may hold keys that this vnetkb does not know."""
    return int(version.partition(".")[2]) > SCHEMA_MINOR


def _check_part(row: Mapping[str, Any] | None, where: str) -> None:
    """Check the properties that are used of a part which is kept as it is; each may be missing."""
    for key, read in _PARTS[where].items():
        if row is not None and key in row:
            read(dict(row), key, where)


def _check_unique(manifest: Manifest) -> None:
    numbers = [snapshot.n for snapshot in manifest.snapshots]
    if numbers != sorted(set(numbers)):
        raise Contradiction("snapshots", f"the numbers {numbers}"[:_SHOWN], "rising numbers, each once")
    times = [snapshot.monotonic_s for snapshot in manifest.snapshots]
    if times != sorted(times):
        raise Contradiction("snapshots", "a monotonic time that goes back", "rising times")
    keys: set[tuple[str, int | None, str]] = set()
    paths: set[str] = set()
    for index, capture in enumerate(manifest.captures):
        key = (capture.id, capture.snapshot, capture.scope)
        if key in keys or capture.path in paths:
            raise Contradiction(f"captures[{index}]", f"{_shown(capture.place)} twice", "each capture once")
        keys.add(key)
        if capture.path is not None:
            paths.add(capture.path)


def _moment(document: dict[str, Any], key: str) -> Moment:
    row = _child(document, key, "")
    return Moment(_text(row, "wall", key), _seconds(row, "monotonic_s", key))


def _snapshot(item: object, where: str) -> Snapshot:
    row = _object(item, where)
    return Snapshot(
        n=_count(row, "n", where),
        wall=_text(row, "wall", where),
        monotonic_s=_seconds(row, "monotonic_s", where),
        end_monotonic_s=_optional(row, "end_monotonic_s", where, _seconds),
    )


def _capture(item: object, where: str) -> Capture:
    row = _object(item, where)
    capture_id = _text(row, "id", where)
    if _CAPTURE_ID.fullmatch(capture_id) is None:
        raise ManifestFault(
            _join(where, "id"), _shown(capture_id), "1 to 64 small letters, digits and hyphens"
        )
    absent = _optional(row, "absent", where, _absent)
    path = _optional(row, "path", where, _name)
    if (path is None) == (absent is None):
        raise ManifestFault(
            f"{where}.path", "both or none of path and absent", "a path, or why the capture is absent"
        )
    return Capture(
        id=capture_id,
        scope=_name(row, "scope", where),
        snapshot=_optional(row, "snapshot", where, _count),
        path=path,
        argv=_texts(row, "argv", where),
        exit_status=_optional(row, "exit_status", where, _count),
        start_monotonic_s=_optional(row, "start_monotonic_s", where, _seconds),
        duration_s=_optional(row, "duration_s", where, _seconds),
        bytes=_optional(row, "bytes", where, _count),
        sha256=_optional(row, "sha256", where, _sum),
        truncated=_boolean(row, "truncated", where),
        absent=absent,
        remark=_text(row, "remark", where) if "remark" in row else "",
    )


def _absent(row: dict[str, Any], key: str, where: str) -> Absent:
    value = _child(row, key, where)
    inner = _join(where, key)
    return Absent(_name(value, "reason", inner), _text(value, "detail", inner))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _get(row: dict[str, Any], key: str, where: str, expected: str) -> Any:  # noqa: ANN401  # JSON is of any type
    if key not in row:
        raise ManifestFault(_join(where, key), "nothing", expected)
    return row[key]


def _optional(
    row: dict[str, Any], key: str, where: str, read: Callable[[dict[str, Any], str, str], _T]
) -> _T | None:
    return None if row.get(key) is None else read(row, key, where)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestFault(where, _kind(value), "an object")
    return value


def _child(row: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    return _object(_get(row, key, where, "an object"), _join(where, key))


def _array(row: dict[str, Any], key: str, where: str) -> list[Any]:
    value = _get(row, key, where, "an array")
    if not isinstance(value, list):
        raise ManifestFault(_join(where, key), _kind(value), "an array")
    return value


def _text(row: dict[str, Any], key: str, where: str) -> str:
    value = _get(row, key, where, "a text")
    if not isinstance(value, str):
        raise ManifestFault(_join(where, key), _kind(value), "a text")
    return value


def _texts(row: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = _array(row, key, where)
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise ManifestFault(f"{_join(where, key)}[{index}]", _kind(value), "a text")
    return tuple(values)


def _name(row: dict[str, Any], key: str, where: str) -> str:
    value = _text(row, key, where)
    if not value:
        raise ManifestFault(_join(where, key), "nothing", "a text that is not empty")
    return value


def _sum(row: dict[str, Any], key: str, where: str) -> str:
    value = _text(row, key, where)
    if _SHA256.fullmatch(value) is None:
        raise ManifestFault(_join(where, key), _shown(value), "64 hex digits")
    return value


def _boolean(row: dict[str, Any], key: str, where: str) -> bool:
    value = _get(row, key, where, "true or false")
    if not isinstance(value, bool):
        raise ManifestFault(_join(where, key), _kind(value), "true or false")
    return value


def _count(row: dict[str, Any], key: str, where: str) -> int:
    value = _get(row, key, where, "a whole number")
    # JSON Schema takes 1.0 for a whole number
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ManifestFault(_join(where, key), _kind(value), "a whole number, 0 or more")
    return value


def _seconds(row: dict[str, Any], key: str, where: str) -> float:
    value = _get(row, key, where, "seconds")
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise ManifestFault(_join(where, key), _kind(value), "seconds, 0 or more")
    return float(value)


def _integer(text: str) -> int:
    if len(text) > _INTEGER_DIGITS:
        raise ManifestFault("", f"a number of {len(text)} digits", f"at most {_INTEGER_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ManifestFault("", f"the number {_shown(text)}", "a finite number")
    return number


def _no_constant(name: str) -> float:
    raise ManifestFault("", name, "JSON, which has no such number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ManifestFault("", f"the key {_shown(twice)} twice", "each key once")
    return document


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {_shown(value)}"
    return "an array" if isinstance(value, list) else "an object"


def _shown(text: str) -> str:
    return ascii(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else "")


_PARTS: dict[str, dict[str, Callable[[dict[str, Any], str, str], object]]] = {
    "options": {
        "interval_s": _seconds,
        "snapshots": _count,
        "every_s": _seconds,
        "wait_for_drop_s": _seconds,
        "trace_s": _seconds,
        "devices": _texts,
    },
    "wait_for_drop": {"max_s": _seconds, "waited_s": _seconds, "dropped": _boolean, "devices": _texts},
    "trace": {
        "clock": _text,
        "events": _text,
        "start_monotonic_s": _seconds,
        "stop_monotonic_s": _seconds,
        "lost_events": _count,
    },
    "series": {"every_s": _seconds, "samples": _count},
}
