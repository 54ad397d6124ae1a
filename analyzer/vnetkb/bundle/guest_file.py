# SPDX-License-Identifier: Apache-2.0
"""What a guest's collector wrote, put beside a host's bundle: the text container, packed or not, zip or tar.

The container is a line ``VNETKB-CONTAINER 1 NAME``, then for each file a line ``@@ PATH`` and either one line
of base64 or the file's lines, each after a ``|``; ``@@END`` ends it. It comes from a guest, which may be
hostile: it is read in memory, within limits, and its paths are only names.
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
from typing import TYPE_CHECKING

from vnetkb.bundle.archive import read_archive, shown
from vnetkb.bundle.limits import DEFAULT_LIMITS, MIB
from vnetkb.bundle.manifest import Capture
from vnetkb.bundle.model import BundleNotice
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vnetkb.bundle.model import Bundle, Key

HEAD = b"VNETKB-CONTAINER 1"
MANIFEST = "guest-manifest"
RAW = "guest-file"
_TOTAL = 16 * MIB
_EXPECTED = "a file that vnetkb-guest wrote"
_FILES = 1000
_DEEP = 2
_ZIP, _ZIP_ENTRY = b"PK\x03\x04", b"PK\x01\x02"
# what zipfile raises besides where a name is empty, a field ends early, a password is needed
_ZIP_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError),
)
_PLACE = re.compile(r"(?:.*/)?(?:s?([01])|static)/([A-Za-z0-9][A-Za-z0-9_.-]{0,80})")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


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
        with path.open("rb") as file:
            data = file.read(_TOTAL + 1)
    except OSError as error:
        raise UnusableInput(file=path, found=error.strerror or str(error), expected="a file") from error
    return _put(bundle, name, read_guest_file(path.name, data, path))


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
            bundle = _put(bundle, capture.scope.removeprefix("guest:"), files)
    return bundle


def read_guest_file(name: str, data: bytes, path: Path | None = None) -> dict[tuple[str, int], bytes]:
    """Return what a guest's file holds, by capture id and sample.

    Args:
        name: What to call the file in errors.
        data: Its content.
        path: Where it lies, if it does; tar archives are read from there only.

    Raises:
        UnusableInput: It is no container, or too large, damaged or empty.
    """
    found = dict(_captures(_files(name, data, path)))
    if not found:
        raise UnusableInput(
            file=shown(name),
            found="nothing that a guest's collector takes",
            expected="what vnetkb-guest wrote",
        )
    return found


def _files(name: str, data: bytes, path: Path | None, depth: int = 0) -> dict[str, bytes]:
    if depth > _DEEP:
        raise UnusableInput(file=shown(name), found="archives in archives", expected="one")
    if data.startswith(b"\x1f\x8b"):
        plain = _unpacked(name, data)
        if not plain.startswith((HEAD, *(mark for mark, _ in _MARKS))) and path is not None:
            return {
                place: member.data for place, member in read_archive(path, DEFAULT_LIMITS).members.items()
            }
        data = plain
    if data.startswith(_ZIP):
        return _zipped(name, data, depth)
    if len(data) > _TOTAL:
        raise UnusableInput(file=shown(name), found=f"over {_TOTAL} bytes", expected="less")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            # as PowerShell's > writes it
            data = data[len(mark) :].decode(encoding, "replace").encode("utf-8")
    return _container(name, data.removeprefix(b"\xef\xbb\xbf"))


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


def _zipped(name: str, data: bytes, depth: int) -> dict[str, bytes]:
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
    except _ZIP_DAMAGE as error:
        found = f"damaged zip ({type(error).__name__})"
        raise UnusableInput(file=shown(name), found=found, expected="the whole file") from None
    if len(files) == 1:
        (only,) = files.values()
        if only.startswith((HEAD, b"\x1f\x8b")):
            return _files(name, only, None, depth + 1)
    return files


def _first_line(row: bytes) -> str:
    """What a file that is none of a collector begins with, as a person reads it."""
    text = shown(row[:40].decode("utf-8", "backslashreplace").rstrip("\r"))
    return f'a file that begins with "{text}"' if text else "a file that begins with an empty line"


def _container(name: str, data: bytes) -> dict[str, bytes]:
    rows = data.split(b"\n")
    if not rows[0].startswith(HEAD):
        raise UnusableInput(file=shown(name), found=_first_line(rows[0]), expected=_EXPECTED)
    files: dict[str, list[bytes]] = {}
    lines: list[bytes] = []
    for row in rows[1:]:
        if row.startswith(b"@@END"):
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
    return {path: _content(name, path, lines) for path, lines in files.items()}


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


def _put(bundle: Bundle, name: str, files: Mapping[tuple[str, int], bytes]) -> Bundle:
    scope = f"guest:{name}"
    # what the host's collector asked QEMU and the agent stays
    kept = [c for c in bundle.manifest.captures if c.scope != scope or (c.id, c.snapshot) not in files]
    added = [_capture(capture, n, scope, data) for (capture, n), data in files.items()]
    captures: dict[Key, Capture] = {(c.id, c.snapshot, c.scope): c for c in (*kept, *added)}
    data: dict[Key, bytes] = dict(bundle._data)  # noqa: SLF001 - the same room makes bundles
    for (capture, n), content in files.items():
        data[capture, n, scope] = content
    return replace(
        bundle,
        manifest=bundle.manifest._replace(captures=tuple(captures.values())),
        _captures=captures,
        _data=data,
    )


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
