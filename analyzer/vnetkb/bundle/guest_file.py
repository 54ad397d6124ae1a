# SPDX-License-Identifier: Apache-2.0
"""What a guest's collector wrote, put beside a host's bundle: the text container, packed or not, zip or tar.

The container is a line ``VNETKB-CONTAINER 1 NAME``, then for each file a line ``@@ PATH`` and either one line
of base64 or the file's lines, each after a ``|``; ``@@END`` ends it. Somebody may pack it once more, or the
files that he took out of it, in any folder or in none. It comes from a guest, which may be hostile: it is
read in memory, within limits, and its paths are only names.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import io
import lzma
import re
import struct
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.bundle.archive import GUEST_HEAD, is_tar, read_loose, refuse_no_file, shown
from vnetkb.bundle.limits import DEFAULT_LIMITS, MIB
from vnetkb.bundle.manifest import Capture
from vnetkb.bundle.model import BundleNotice
from vnetkb.errors import UnusableInput
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vnetkb.bundle.model import Bundle, Key

HEAD = GUEST_HEAD + b" 1"
MANIFEST = "guest-manifest"
RAW = "guest-file"
_TOTAL = 16 * MIB
_EXPECTED = "a file that vnetkb-guest wrote"
_PACKED = "a file that vnetkb-guest wrote, or its folder packed: tar czf guest.tgz -C FOLDER ."
_FILES = 1000
_NAMED = 3
_DEEP = 2
_GZIP = b"\x1f\x8b"
_ZIP, _ZIP_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
# what zipfile raises besides where a name is empty, a field ends early, a password is needed
_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError),
)
_PLACE = re.compile(r"(?:.*/)?(?:s?([01])|static)/([A-Za-z0-9][A-Za-z0-9_.-]{0,80})")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CUT = mark("it ends before its last line (@@END): it was cut, and what came after is missing")
_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class GuestFile(NamedTuple):
    """What a guest's file holds.

    Attributes:
        captures: Contents by capture id and sample.
        cut: Whether the text ends before its end mark.
    """

    captures: dict[tuple[str, int], bytes]
    cut: bool


def with_guest(bundle: Bundle, name: str, path: Path) -> Bundle:
    """Return the bundle with what a guest's collector wrote, in the place of what it held of that guest.

    Args:
        bundle: The host's bundle.
        name: The VM, as the host calls it.
        path: The file from the guest.

    Raises:
        UnusableInput: The file is not what a guest's collector writes.
    """
    try:
        refuse_no_file(path, _PACKED)
        with path.open("rb") as file:
            data = file.read(_TOTAL + 1)
    except OSError as error:
        raise UnusableInput(file=path, found=error.strerror or str(error), expected="a file") from error
    return _put(bundle, name, read_guest_file(path.name, data), path.name)


def expanded(bundle: Bundle) -> Bundle:
    """Return the bundle with every guest's file in it taken apart; one that is none leaves a notice."""
    for capture in bundle.manifest.captures:
        if capture.id != RAW or not capture.scope.startswith("guest:"):
            continue
        data = bundle.data(RAW, capture.snapshot, capture.scope)
        if data is None:
            continue
        try:
            files = read_guest_file(capture.place, data)
        except UnusableInput as error:
            notice = BundleNotice("warning", shown(capture.place), f"not used: {error}")
            bundle = replace(bundle, notices=(*bundle.notices, notice))
        else:
            bundle = _put(bundle, capture.scope.removeprefix("guest:"), files, capture.place)
    return bundle


def read_guest_file(name: str, data: bytes) -> GuestFile:
    """Return what a guest's file holds.

    Args:
        name: What to call the file in errors.
        data: Its content.

    Raises:
        UnusableInput: It is no container, or too large, damaged or empty, or holds several.
    """
    files, cut = _files(name, data)
    found = dict(_captures(files))
    if not found:
        raise UnusableInput(
            file=shown(name),
            found="nothing that a guest's collector takes",
            expected="what vnetkb-guest wrote: files such as 0/guest-clock or 1/win-counters",
        )
    return GuestFile(found, cut)


def _files(name: str, data: bytes, depth: int = 0) -> tuple[dict[str, bytes], bool]:
    """Return files by path, and whether the text that they come from is cut."""
    if depth > _DEEP:
        raise UnusableInput(file=shown(name), found="archives in archives", expected="one")
    if data.startswith(_GZIP):
        data = _unpacked(name, data)
    if data.startswith(_ZIP):
        return _unwrapped(name, _zipped(name, data), depth)
    if is_tar(data):
        archive = read_loose(name, data, DEFAULT_LIMITS)
        if archive.damage is not None:
            raise UnusableInput(file=shown(name), found=archive.damage, expected="the whole file")
        packed = {place: member.data for place, member in archive.members.items()}
        return _unwrapped(name, packed, depth)
    if len(data) > _TOTAL:
        raise UnusableInput(file=shown(name), found=f"over {_TOTAL} bytes", expected="less")
    for mark_of, encoding in _MARKS:
        if data.startswith(mark_of):
            # as PowerShell's > writes it
            data = data[len(mark_of) :].decode(encoding, "replace").encode("utf-8")
    return _container(name, data.removeprefix(b"\xef\xbb\xbf"))


def _unwrapped(name: str, files: dict[str, bytes], depth: int) -> tuple[dict[str, bytes], bool]:
    """Return the files that an archive holds, or those of the one container that was packed into it."""
    marks = (HEAD, _GZIP, *(mark_of for mark_of, _ in _MARKS))
    whole = [
        place
        for place, content in files.items()
        if content.startswith(marks) and _PLACE.fullmatch(place) is None
    ]
    if len(whole) > 1:
        found = ", ".join(shown(place) for place in whole[:_NAMED])
        raise UnusableInput(file=shown(name), found=f"files of several guests ({found})", expected="of one")
    return _files(name, files[whole[0]], depth + 1) if whole else (files, False)


def _unpacked(name: str, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(_TOTAL + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnusableInput(
            file=shown(name), found=f"damaged gzip ({error})", expected="the whole file"
        ) from None
    if len(plain) > _TOTAL:
        raise UnusableInput(file=shown(name), found=f"over {_TOTAL} bytes unpacked", expected="less")
    return plain


def _zipped(name: str, data: bytes) -> dict[str, bytes]:
    if data.count(_ZIP_ENTRY) > _FILES:
        raise UnusableInput(file=shown(name), found=f"over {_FILES} files", expected="less")
    files: dict[str, bytes] = {}
    left = _TOTAL
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                if entry.filename in files:
                    found = f"{shown(entry.filename)} twice"
                    raise UnusableInput(file=shown(name), found=found, expected="each name once")
                with archive.open(entry) as member:
                    content = member.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise UnusableInput(
                        file=shown(name), found=f"over {_TOTAL} bytes unpacked", expected="less"
                    )
                files[entry.filename] = content
        if not any("/" in place for place in files):
            # Windows PowerShell 5.1 packs with its own separator
            files = {place.replace("\\", "/"): content for place, content in files.items()}
    except _ZIP_DAMAGE as error:
        found = f"damaged zip ({type(error).__name__})"
        raise UnusableInput(file=shown(name), found=found, expected="the whole file") from None
    return files


def _first_line(row: bytes) -> str:
    """What a file that is none of a collector begins with, as a person reads it."""
    text = shown(row[:40].decode("utf-8", "backslashreplace").rstrip("\r"))
    return f'a file that begins with "{text}"' if text else "a file that begins with an empty line"


def _container(name: str, data: bytes) -> tuple[dict[str, bytes], bool]:
    rows = data.split(b"\n")
    if not rows[0].startswith(HEAD):
        raise UnusableInput(file=shown(name), found=_first_line(rows[0]), expected=_EXPECTED)
    files: dict[str, list[bytes]] = {}
    lines: list[bytes] = []
    cut = True
    for row in rows[1:]:
        if row.startswith(b"@@END"):
            cut = False
            break
        if row.startswith(b"@@ "):
            place = row[3:].strip().decode("ascii", "replace")
            if place in files:
                raise UnusableInput(
                    file=shown(name), found=f"{shown(place)} twice", expected="each name once"
                )
            lines = files[place] = []
            if len(files) > _FILES:
                raise UnusableInput(file=shown(name), found=f"over {_FILES} files", expected="less")
        else:
            lines.append(row)
    if cut and lines:
        # a number in the last line may be cut as well
        lines.pop()
    return {path: _content(name, path, lines) for path, lines in files.items()}, cut


def _content(name: str, path: str, lines: list[bytes]) -> bytes:
    if lines and lines[0].startswith(b"|"):
        return b"".join(line[1:] + b"\n" for line in lines if line.startswith(b"|"))
    try:
        return binascii.a2b_base64(b"".join(line.strip() for line in lines), strict_mode=True)
    except binascii.Error as error:
        raise UnusableInput(
            file=shown(name),
            member=shown(path),
            found=f"no base64 ({error})",
            expected="base64, or lines after |",
        ) from None


def _captures(files: Mapping[str, bytes]) -> Iterator[tuple[tuple[str, int], bytes]]:
    for path, data in files.items():
        if path.rpartition("/")[2] == "manifest.kv":
            yield (MANIFEST, 0), data
            continue
        match = _PLACE.fullmatch(path)
        if match is None:
            continue
        stem = re.sub(r"\.(txt|json)$", "", match[2]).replace("_", "-").replace(".", "-").lower()
        if not stem.startswith(("guest-", "win-")):
            # the files of an earlier layout bear no prefix
            stem = f"win-{stem}" if stem.startswith(("counters", "netstat-e", "netsh")) else f"guest-{stem}"
        if _ID.fullmatch(stem) and data:
            yield (stem, int(match[1] or 0)), data


def _put(bundle: Bundle, name: str, file: GuestFile, place: str) -> Bundle:
    scope, files = f"guest:{name}", file.captures
    # what the host's collector asked QEMU and the agent stays; no sample of an earlier run does
    kept = [c for c in bundle.manifest.captures if c.scope != scope or not _is_of_guest_collector(c.id)]
    added = [_capture(capture, n, scope, data) for (capture, n), data in files.items()]
    captures: dict[Key, Capture] = {(c.id, c.snapshot, c.scope): c for c in (*kept, *added)}
    held = bundle._data.items()  # noqa: SLF001 - the same room makes bundles
    data: dict[Key, bytes] = {key: content for key, content in held if key in captures}
    for (capture, n), content in files.items():
        data[capture, n, scope] = content
    notices = (BundleNotice("warning", shown(place), tr(_CUT)),) if file.cut else ()
    return replace(
        bundle,
        notices=(*bundle.notices, *notices),
        manifest=bundle.manifest._replace(captures=tuple(captures.values())),
        _captures=captures,
        _data=data,
    )


def _is_of_guest_collector(capture: str) -> bool:
    """Whether a guest's collector writes it; the file itself, as the host's collector packed it, stays."""
    return capture.startswith(("guest-", "win-")) and capture != RAW


def _capture(capture: str, n: int, scope: str, data: bytes) -> Capture:
    return Capture(
        id=capture,
        scope=scope,
        snapshot=n,
        path=f"{scope.replace(':', '/', 1)}/{n}/{capture}",
        argv=("vnetkb-guest",),
        exit_status=0,
        start_monotonic_s=None,
        duration_s=None,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        truncated=False,
        absent=None,
    )
