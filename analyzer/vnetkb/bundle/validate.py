# SPDX-License-Identifier: Apache-2.0
"""Every fault of a bundle, for `vnetkb validate`: schema, checksums, completeness.

Reading a bundle for a diagnosis stops at nothing that can be worked around and says so in notices; here
everything is named. What a missing capture costs the diagnosis is not known in this room: the capture ids are
returned.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from vnetkb.bundle.archive import read_archive, shown
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.bundle.manifest import (
    ManifestFault,
    NewerMajor,
    is_newer_minor,
    load_document,
    member_path,
    parse_manifest,
)
from vnetkb.bundle.model import reason_of
from vnetkb.bundle.reader import LOG, MANIFEST, REVIEW, fault_of, manifest_bytes, refuse_cut_off, unlisted
from vnetkb.errors import UnusableInput
from vnetkb.paths import schemas_dir

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from vnetkb.bundle.archive import Archive
    from vnetkb.bundle.limits import Limits
    from vnetkb.bundle.manifest import Manifest

_SUM = rb"sha256 [0-9a-f]{64}  (?:manifest\.json|REVIEW\.txt|collector\.log)\n"
_SUMS = re.compile(rb"(?:" + _SUM + rb"){1,3}\Z")
_SUMMED = (MANIFEST, REVIEW, LOG)
_SUMS_SINCE = (1, 1)
SCHEMA = "manifest.schema.json"
NOT_NAMED = "the collector does not mention it"
"""Why a capture of today is not in a bundle of a collector that did not know it yet."""
_SCHEMA_FAULTS_AT_MOST = 50
_FOR_DELTAS = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it should be.

    Attributes:
        level: ``error`` where data is lost or cannot be trusted, ``warning`` where less can be said.
        member: Member of the archive, with the place in it; None for the archive as a whole.
        found: What is there.
        expected: What should be there.
    """

    level: Literal["error", "warning"]
    member: str | None
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class AbsentCapture:
    """A capture that the bundle does not hold.

    Attributes:
        id: Capture id.
        scope: ``host``, ``series`` or ``guest:<vm>``.
        snapshot: Number of the snapshot; None for the series, or where it is missing from the whole bundle.
        reason: Why, in plain words.
    """

    id: str
    scope: str
    snapshot: int | None
    reason: str

    @property
    def member(self) -> str:
        """The member path it would have."""
        return member_path(self.id, self.snapshot, self.scope)


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome.

    Attributes:
        name: Name of the file.
        sha256: Sum of the file.
        faults: Errors first, each kind in the order of the archive.
        absent: Captures that are not there, for whatever reason.
        notes: What cannot be told of this bundle, being as old as it is.
    """

    name: str
    sha256: str
    faults: tuple[Fault, ...]
    absent: tuple[AbsentCapture, ...]
    notes: tuple[str, ...] = ()


def validate(
    path: Path,
    expected: Collection[str] = (),
    limits: Limits = DEFAULT_LIMITS,
    identity: Path | None = None,
    sha256: str | None = None,
) -> Validation:
    """Hold a bundle against the schema of its manifest, its checksums and what it promises to hold.

    Args:
        path: The bundle.
        expected: Ids of host captures that a complete bundle names, be they present or absent.
        limits: What is read before the file is refused.
        identity: File with the key of an encrypted bundle.
        sha256: Sum that the file must have.

    Raises:
        UnusableInput: It is no whole bundle: no archive, cut off, unsafe, over a limit, without a manifest
            in JSON, or of a newer major schema.
    """
    archive = read_archive(path, limits, identity)
    refuse_cut_off(path, archive)
    data = manifest_bytes(path, archive, limits)
    try:
        document = load_document(data)
    except ManifestFault as fault:
        raise UnusableInput(
            file=shown(path.name), member=MANIFEST, found=fault.found, expected=fault.expected
        ) from None
    faults = list(schema_faults(document))
    absent: list[AbsentCapture] = []
    notes: list[str] = []
    if sha256 is not None and sha256.strip().lower() != archive.sha256:
        faults.append(Fault("error", None, f"sha256 {archive.sha256}", shown(sha256)))
    if archive.damage is not None:
        faults.append(Fault("error", None, archive.damage, "a whole archive"))
    try:
        manifest = parse_manifest(data)
    except NewerMajor as fault:
        raise UnusableInput(
            fault.where, file=shown(path.name), member=MANIFEST, found=fault.found, expected=fault.expected
        ) from None
    except ManifestFault as fault:
        if not any(each.level == "error" and (each.member or "").startswith(MANIFEST) for each in faults):
            faults.append(Fault("error", f"{MANIFEST} {fault.where}".rstrip(), fault.found, fault.expected))
    else:
        faults += _completeness(archive, manifest)
        notes += _without_sums(archive, manifest)
        absent += _absent(archive, manifest, expected)
    faults.sort(key=lambda fault: fault.level)
    return Validation(path.name, archive.sha256, tuple(faults), tuple(absent), tuple(notes))


def schema_faults(document: dict[str, Any]) -> Iterator[Fault]:
    """Yield what schemas/manifest.schema.json says against a manifest, at most the first 50 faults."""
    import jsonschema  # noqa: PLC0415  # 88 ms that only this command pays

    schema = json.loads((schemas_dir() / SCHEMA).read_bytes())
    validator = jsonschema.Draft202012Validator(schema)
    for error in islice(validator.iter_errors(document), _SCHEMA_FAULTS_AT_MOST):
        place = error.json_path.removeprefix("$").removeprefix(".")
        yield Fault("error", f"{MANIFEST} {shown(place)}".rstrip(), shown(error.message), _expected(error))


def _expected(error: Any) -> str:  # noqa: ANN401  # jsonschema is imported late
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    return (
        shown(str(described))
        if described
        else f"{error.validator} {shown(json.dumps(error.validator_value))}"
    )


def _completeness(archive: Archive, manifest: Manifest) -> Iterator[Fault]:
    for capture in manifest.captures:
        if capture.path is None:
            continue
        fault = fault_of(archive, capture)
        if fault is not None:
            yield Fault("error", shown(capture.path), fault.found, fault.expected)
        elif capture.truncated:
            yield Fault("warning", shown(capture.path), "text cut at a limit", "the whole output")
    for name in unlisted(archive, manifest):
        yield Fault("error", shown(name), "a file that the manifest does not name", "no such file")
    yield from _sums_in_log(archive, summed=_has_sums(manifest))
    if LOG not in archive.members:
        level: Literal["error", "warning"] = "error" if _has_sums(manifest) else "warning"
        yield Fault(level, LOG, "nothing", "the log of the collector")
    if len(manifest.snapshots) < _FOR_DELTAS:
        found = f"{len(manifest.snapshots)} snapshots" if len(manifest.snapshots) != 1 else "1 snapshot"
        yield Fault("warning", MANIFEST, found, "2 or more: with fewer nothing tells what is lost now")
    if is_newer_minor(manifest.schema_version):
        found = f"schema {manifest.schema_version}, newer than this vnetkb"
        yield Fault("warning", MANIFEST, found, "a schema that this vnetkb knows wholly")


def _has_sums(manifest: Manifest) -> bool:
    """Tell whether a bundle of this schema ends its log with three sums: older ones have fewer or none."""
    major, _, minor = manifest.schema_version.partition(".")
    return (int(major), int(minor)) >= _SUMS_SINCE


def _without_sums(archive: Archive, manifest: Manifest) -> Iterator[str]:
    if not _has_sums(manifest) and LOG in archive.members:
        log = archive.members[LOG].data
        without = [name for name in _SUMMED if name in archive.members and f"  {name}\n".encode() not in log]
        if without:
            names = ", ".join(without)
            yield f"schema {manifest.schema_version} knows no sums of {names}: changes are not seen"


def _sums_in_log(archive: Archive, *, summed: bool) -> Iterator[Fault]:
    """Hold the files that the manifest has no sum for against the sums at the end of the collector's log."""
    if LOG not in archive.members:
        return
    log = archive.members[LOG].data
    sums = _SUMS.search(log)
    if sums is None:
        if re.search(rb"^" + _SUM, log, re.MULTILINE):
            yield Fault("error", LOG, "text after the sums that end it", "nothing after them")
        elif summed:
            yield Fault("error", LOG, "no sums at its end", f"those of {', '.join(_SUMMED)}")
        return
    yield from _odd_sums(log[: sums.start()], sums[0], summed=summed)
    for line in sums[0].decode("ascii").splitlines():
        _, expected, name = line.split()
        if name == LOG:
            digest = hashlib.sha256(log[: sums.start()]).hexdigest()
        else:
            digest = archive.members[name].sha256 if name in archive.members else "nothing"
        if digest != expected:
            yield Fault("error", name, f"sha256 {digest[:12]}…", f"{expected[:12]}…, as the log says")


def _odd_sums(log: bytes, sums: bytes, *, summed: bool) -> Iterator[Fault]:
    given = [line.split()[2].decode("ascii") for line in sums.splitlines()]
    if re.search(rb"^" + _SUM, log, re.MULTILINE) or len(set(given)) < len(given):
        yield Fault("error", LOG, "sums twice", "each once")
    for name in _SUMMED if summed else ():
        if name not in given:
            yield Fault("error", LOG, f"no sum of {name} at its end", "one")


def _absent(archive: Archive, manifest: Manifest, expected: Collection[str]) -> Iterator[AbsentCapture]:
    for capture in manifest.captures:
        if capture.absent is not None:
            yield AbsentCapture(capture.id, capture.scope, capture.snapshot, reason_of(capture.absent))
        elif (fault := fault_of(archive, capture)) is not None:
            yield AbsentCapture(capture.id, capture.scope, capture.snapshot, fault.text)
    named = {capture.id for capture in manifest.captures}
    for capture_id in sorted(set(expected) - named):
        yield AbsentCapture(capture_id, "host", None, NOT_NAMED)
