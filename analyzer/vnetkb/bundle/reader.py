# SPDX-License-Identifier: Apache-2.0
"""From a file to a bundle: the archive is read once, and every capture is held against the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vnetkb.bundle.archive import looks_like, read_archive, shown
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.bundle.manifest import ManifestFault, is_newer_minor, parse_manifest
from vnetkb.bundle.model import Bundle, BundleNotice
from vnetkb.errors import UnusableInput
from vnetkb.language import tr

if TYPE_CHECKING:
    from pathlib import Path

    from vnetkb.bundle.archive import Archive
    from vnetkb.bundle.limits import Limits
    from vnetkb.bundle.manifest import Capture, Manifest
    from vnetkb.bundle.model import Key

MANIFEST = "manifest.json"
LOG = "collector.log"
REVIEW = "REVIEW.txt"
_NAMED_AT_MOST = 3


def read_bundle(path: Path, limits: Limits = DEFAULT_LIMITS, identity: Path | None = None) -> Bundle:
    """Read a bundle into memory.

    Args:
        path: The ``.tar.gz`` (or plain ``.tar``) that a collector wrote.
        limits: What is read before the file is refused.
        identity: File with the key of an encrypted bundle.

    Raises:
        UnusableInput: The file is no bundle, is cut off, is not safe, passes a limit, has no usable manifest,
            or is of a newer major schema. Damage to single captures is no error: they read as absent, with a
            notice.
    """
    archive = read_archive(path, limits, identity)
    bundle = from_archive(path, archive, limits)
    if any(capture.id == "guest-file" for capture in bundle.manifest.captures):
        from vnetkb.bundle.guest_file import expanded  # noqa: PLC0415 - rare, and it needs this room's model

        bundle = expanded(bundle)
    return bundle


def refuse_cut_off(path: Path, archive: Archive) -> None:
    """Refuse an archive whose end is missing: what it lacks nobody can name, and it is cheap to send again.

    Raises:
        UnusableInput: It is cut off.
    """
    if archive.cut_off:
        raise UnusableInput(
            file=shown(path.name),
            found=f"{archive.damage}, after {len(archive.members)} files",
            expected="the whole file: copy or send it again",
        )


def manifest_bytes(path: Path, archive: Archive, limits: Limits) -> bytes:
    """Return the manifest of an archive.

    Raises:
        UnusableInput: There is none, or it is too large.
    """
    member = archive.members.get(MANIFEST)
    name = shown(path.name)
    if member is None:
        kind = looks_like([archive.folder, *archive.members])
        names = ", ".join(shown(each) for each in sorted(archive.members)[:_NAMED_AT_MOST])
        found = archive.damage or (f"{len(archive.members)} files ({names} …)" if names else "no file at all")
        raise UnusableInput(
            "not a bundle" + (f", looks like {kind}" if kind else ""),
            file=name,
            found=found,
            expected=f"{shown(archive.folder)}/{MANIFEST}",
        )
    if len(member.data) > limits.manifest_bytes:
        raise UnusableInput(
            file=name,
            member=MANIFEST,
            found=f"{len(member.data)} bytes",
            expected=f"at most {limits.manifest_bytes}",
        )
    return member.data


def from_archive(path: Path, archive: Archive, limits: Limits) -> Bundle:
    """Return the bundle that an archive holds.

    Raises:
        UnusableInput: It is cut off, or there is no usable manifest.
    """
    refuse_cut_off(path, archive)
    try:
        manifest = parse_manifest(manifest_bytes(path, archive, limits))
    except ManifestFault as error:
        raise UnusableInput(
            error.where or None,
            file=shown(path.name),
            member=MANIFEST,
            found=error.found,
            expected=error.expected,
        ) from None
    notices: list[BundleNotice] = []
    if archive.damage is not None:
        notices.append(
            BundleNotice(
                "warning", None, tr("{damage}: what was read before that is used", damage=archive.damage)
            )
        )
    if is_newer_minor(manifest.schema_version):
        text = tr(
            "schema {version} is newer than this vnetkb: what it does not know is left out",
            version=manifest.schema_version,
        )
        notices.append(BundleNotice("info", MANIFEST, text))
    captures: dict[Key, Capture] = {}
    data: dict[Key, bytes] = {}
    damage: dict[Key, str] = {}
    for capture in manifest.captures:
        key = (capture.id, capture.snapshot, capture.scope)
        captures[key] = capture
        if capture.path is None:
            continue
        fault = fault_of(archive, capture)
        if fault is None:
            data[key] = _whole_lines(archive.members[capture.path].data, capture, notices)
        else:
            damage[key] = tr("{file} is not used: {fault}", file=shown(capture.path), fault=fault.text)
            notices.append(
                BundleNotice("warning", shown(capture.path), tr("not used: {error}", error=fault.text))
            )
    notices.extend(_left_out(archive, manifest))
    return Bundle(
        name=path.name,
        folder=archive.folder,
        sha256=archive.sha256,
        manifest=manifest,
        notices=tuple(notices),
        _captures=captures,
        _data=data,
        _damage=damage,
    )


class Damage(NamedTuple):
    """Why a capture that should be there cannot be used."""

    found: str
    expected: str

    @property
    def text(self) -> str:
        """The two parts as one clause."""
        return f"found {self.found}, expected {self.expected}"


def fault_of(archive: Archive, capture: Capture) -> Damage | None:
    """Return why a capture that should be there cannot be used; None when it can."""
    member = archive.members.get(capture.path or "")
    if member is None:
        return Damage("nothing" if archive.damage is None else archive.damage, f"{capture.bytes} bytes")
    if capture.bytes is not None and len(member.data) != capture.bytes:
        return Damage(f"{len(member.data)} bytes", f"{capture.bytes}")
    if capture.sha256 is None:
        return Damage("no sha256 in the manifest", "one for every member")
    if member.sha256 != capture.sha256:
        return Damage(f"sha256 {member.sha256[:12]}…", f"{capture.sha256[:12]}…")
    return None


def unlisted(archive: Archive, manifest: Manifest) -> list[str]:
    """Return the members that the manifest does not name, sorted."""
    known = {capture.path for capture in manifest.captures} | {MANIFEST, LOG, REVIEW}
    return sorted(name for name in archive.members if name not in known)


def _left_out(archive: Archive, manifest: Manifest) -> list[BundleNotice]:
    names = unlisted(archive, manifest)
    notices = [
        BundleNotice("warning", shown(name), tr("left out: the manifest does not name it"))
        for name in names[:_NAMED_AT_MOST]
    ]
    if len(names) > _NAMED_AT_MOST:
        text = tr(
            "{count} more files left out: the manifest does not name them", count=len(names) - _NAMED_AT_MOST
        )
        notices.append(BundleNotice("warning", None, text))
    return notices


def _whole_lines(data: bytes, capture: Capture, notices: list[BundleNotice]) -> bytes:
    if not capture.truncated:
        return data
    notices.append(
        BundleNotice(
            "warning", shown(capture.place), tr("cut by the collector at a limit, the rest is missing")
        )
    )
    return data[: data.rfind(b"\n") + 1]
