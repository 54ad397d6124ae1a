# SPDX-License-Identifier: Apache-2.0
"""Variants of a recorded bundle: a snapshot or a capture cut away, a capture's content changed.

The result is a whole bundle again, with sums and sizes that are right, so that a test shows what the missing
evidence costs and not that damage is noticed.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

Edit = Callable[[bytes], bytes]


def members(bundle: Path) -> tuple[str, dict[str, bytes]]:
    """Return a bundle's top folder and its members by path inside it."""
    found: dict[str, bytes] = {}
    top = ""
    with tarfile.open(bundle) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isfile() else None
            if file is not None:
                top, _, path = entry.name.removeprefix("./").partition("/")
                found[path] = file.read()
    return top, found


def manifest(bundle: Path) -> dict[str, Any]:
    """Return a bundle's manifest."""
    _, found = members(bundle)
    data: dict[str, Any] = json.loads(found["manifest.json"])
    return data


def rewrite(
    bundle: Path,
    out: Path,
    *,
    keep_snapshots: Collection[int] | None = None,
    drop_captures: Collection[str] = (),
    edit: Mapping[str, Edit] | None = None,
) -> Path:
    """Write a variant of `bundle` to `out` and return `out`.

    Args:
        bundle: The bundle to start from.
        out: The file to write.
        keep_snapshots: The snapshots that stay, numbered anew from 0; `None` for all. What was taken once
            stays in the first of them. With a single one the series goes too.
        drop_captures: Ids of captures that become absent, in all snapshots and the series.
        edit: What to do to the content of each capture of an id.
    """
    top, files = members(bundle)
    description: dict[str, Any] = json.loads(files["manifest.json"])
    kept = sorted(snapshot["n"] for snapshot in description["snapshots"])
    if keep_snapshots is not None:
        kept = [n for n in kept if n in keep_snapshots]
    numbers = {old: new for new, old in enumerate(kept)}
    captures: list[dict[str, Any]] = []
    content: dict[str, bytes] = {}
    for capture in _kept_captures(description["captures"], numbers, alone=len(kept) == 1):
        path = capture["path"]
        if capture["id"] in drop_captures:
            _make_absent(capture)
        elif path is not None:
            data = (edit or {}).get(capture["id"], _unchanged)(files[path])
            capture["path"] = _new_path(path, numbers)
            capture["bytes"] = len(data)
            capture["sha256"] = hashlib.sha256(data).hexdigest()
            content[capture["path"]] = data
        captures.append(capture)
    description["captures"] = captures
    description["snapshots"] = [
        snapshot | {"n": numbers[snapshot["n"]]}
        for snapshot in description["snapshots"]
        if snapshot["n"] in numbers
    ]
    description["options"]["snapshots"] = len(kept)
    if "collector.log" in files:
        content["collector.log"] = files["collector.log"]
    content["manifest.json"] = json.dumps(description, indent=1).encode()
    with tarfile.open(out, "w:gz") as archive:
        for path, data in sorted(content.items()):
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out


def _kept_captures(
    captures: list[dict[str, Any]], numbers: Mapping[int, int], *, alone: bool
) -> Iterator[dict[str, Any]]:
    """Yield the captures that stay, with their new snapshot numbers."""
    every_snapshot = {capture["id"] for capture in captures if capture["snapshot"] not in {None, 0}}
    for capture in captures:
        snapshot = capture["snapshot"]
        if snapshot is None:
            if not alone:
                yield capture
        elif snapshot in numbers:
            yield capture | {"snapshot": numbers[snapshot]}
        elif snapshot == 0 and capture["id"] not in every_snapshot:
            yield capture


def _new_path(path: str, numbers: Mapping[int, int]) -> str:
    scope, _, rest = path.partition("/")
    number, slash, name = rest.partition("/")
    if not slash or not number.isdigit():
        return path
    return f"{scope}/{numbers.get(int(number), 0)}/{name}"


def _make_absent(capture: dict[str, Any]) -> None:
    capture.update(
        path=None,
        exit_status=None,
        bytes=None,
        sha256=None,
        truncated=False,
        absent={"reason": "tool-missing", "detail": "cut away"},
    )


def _unchanged(data: bytes) -> bytes:
    return data
