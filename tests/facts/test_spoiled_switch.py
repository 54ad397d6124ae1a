# SPDX-License-Identifier: Apache-2.0
"""Each capture of a recorded switch spoiled in turn: what is not read is said, and is never a wrong answer.

A finding may go, or its claims change, only together with a notice or a capture named as missing; none may
come, none may weigh more, and no number may be another.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_json import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUNDLE = Path(__file__).parent / "recorded" / "switch-6.1.tar.gz"
KB = load_kb()
WEIGHT = ("harmless", "unknown", "watch", "harmful")
# Names of ports and bridges are no words of a layout.
PORTS = {b"br1", b"mon0", b"uplink", *(b"vnet%d" % n for n in range(8))}
KEYED = re.compile(rb"(?<![\w.@-])([A-Za-z_][\w-]*)(?=[:=(])")
WORD = re.compile(rb"(?<![\w.@-])([A-Za-z_][\w-]{2,})")


class Claim(NamedTuple):
    """What a report says of one loss, as far as a capture of the switch has to do with it."""

    counter: str | None
    delta: int | None
    verdict: str
    cause: str | None
    harm: str
    means: str | None
    watched_by: str
    agrees: tuple[str, ...]


def unpacked() -> dict[str, bytes]:
    with tarfile.open(BUNDLE) as archive:
        # The series and the trace have nothing to do with it, and take most of the time.
        held = {
            member.name: archive.extractfile(member) for member in archive if "/series/" not in member.name
        }
        return {name.partition("/")[2]: file.read() for name, file in held.items() if file is not None}


FILES = unpacked()
MANIFEST = json.loads(FILES["manifest.json"])
MANIFEST["captures"] = [row for row in MANIFEST["captures"] if row["scope"] == "host"]
FILES["manifest.json"] = json.dumps(MANIFEST).encode()
CAPTURES = sorted({Path(name).name for name in FILES if Path(name).name.startswith("ovs-")} - {"ovs-show"})


def shown(files: dict[str, bytes], manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the report of a bundle."""
    for row in manifest["captures"]:
        if row["path"] in files:
            data = files[row["path"]]
            row |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path = folder / "bundle.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in (files | {"manifest.json": json.dumps(manifest).encode()}).items():
            info = tarfile.TarInfo(f"vnetkb-spoiled/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return document(diagnose(build(read_bundle(path), KB), KB))


def claims(report: dict[str, Any]) -> dict[tuple[str, str | None], Claim]:
    return {
        (one["subject"]["name"], one["symptom"]["counter"]): Claim(
            one["symptom"]["counter"],
            one["symptom"]["delta"],
            one["verdict"],
            one["cause"],
            one["harm"],
            (one.get("alarm") or {}).get("means"),
            json.dumps((one.get("alarm") or {}).get("watched_by"), sort_keys=True),
            tuple(w["name"] for w in one["witnesses"] if w["agrees"] is False),
        )
        for one in report["findings"]
    }


def told(report: dict[str, Any]) -> set[str]:
    """Return all that a report says is missing or not understood."""
    said = {notice["subject"] + notice["text"] for notice in report["notices"]}
    return said | set(report["missing_captures"])


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return shown(dict(FILES), json.loads(FILES["manifest.json"]), tmp_path_factory.mktemp("right"))


def complaints(right: dict[str, Any], spoiled: dict[str, Any]) -> list[str]:
    before, after = claims(right), claims(spoiled)
    more = told(spoiled) - told(right)
    found = [f"new finding {key} {after[key]}" for key in after.keys() - before.keys()]
    for key, old in before.items():
        new = after.get(key)
        if new is not None and WEIGHT.index(new.harm) > WEIGHT.index(old.harm) and new.harm != "unknown":
            found.append(f"{key} weighs more: {old.harm} -> {new.harm}")
        if new is not None and new.delta != old.delta and not (more and new.delta is None):
            found.append(f"{key} has another number: {old.delta} -> {new.delta}")
        if new is not None and new.agrees != old.agrees:
            found.append(f"{key} disagrees: {new.agrees}")
        if new != old and not more:
            found.append(f"{key} changed without a word: {old} -> {new}")
    return found


def spoilings(data: bytes) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Yield ways to spoil a capture, the same in every snapshot."""
    if data.lstrip().startswith(b"{"):
        headings = json.loads(data)["headings"]
        for heading in headings:
            yield f"column {heading} renamed", partial(renamed_column, heading)
        keys = {found.decode() for found in re.findall(rb'\["([A-Za-z_][\w-]*)",[^\[]', data)}
        for key in sorted(keys - {*headings, "set", "map", "uuid"}):
            yield f"key {key} renamed", partial(renamed_key, key)
        return
    words = {found[1] for pattern in (KEYED, WORD) for found in pattern.finditer(data)}
    for word in sorted(words - PORTS):
        sight = re.compile(rb"(?<![\w.@-])" + re.escape(word) + rb"(?![\w-])")
        yield f"{word.decode()} renamed", partial(sight.sub, b"x" + word)


def renamed_key(name: str, text: bytes) -> bytes:
    return text.replace(f'["{name}",'.encode(), f'["x{name}",'.encode())


def renamed_column(name: str, text: bytes) -> bytes:
    table = json.loads(text)
    table["headings"] = [f"x{one}" if one == name else one for one in table["headings"]]
    return json.dumps(table).encode()


def spoil(name: str, change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    return {path: change(data) if Path(path).name == name else data for path, data in FILES.items()}


def manifest_with(name: str, **changed: object) -> dict[str, Any]:
    """Return the manifest with some fields of a capture changed."""
    manifest: dict[str, Any] = json.loads(FILES["manifest.json"])
    for row in manifest["captures"]:
        if row["id"] == name and row["path"]:
            row.update(changed)
    return manifest


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_that_is_not_there(name: str, right: dict[str, Any], tmp_path: Path) -> None:
    files = {path: data for path, data in FILES.items() if Path(path).name != name}
    gone = dict.fromkeys(("path", "exit_status", "bytes", "sha256"))
    failed = manifest_with(name, **gone, absent={"reason": "failed", "detail": "exit 1"})
    assert complaints(right, shown(files, failed, tmp_path)) == []

    unnamed = manifest_with(name)
    unnamed["captures"] = [row for row in unnamed["captures"] if row["id"] != name]
    assert complaints(right, shown(files, unnamed, tmp_path)) == []


def cut(share: float, data: bytes) -> bytes:
    return data[: int(len(data) * share)]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_that_was_cut(name: str, right: dict[str, Any], tmp_path: Path) -> None:
    for share in (0.0, 0.2, 0.5, 0.9):
        files = spoil(name, partial(cut, share))
        manifest = manifest_with(name, truncated=True, exit_status=124)
        assert complaints(right, shown(files, manifest, tmp_path)) == [], share


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_with_a_word_renamed(name: str, right: dict[str, Any], tmp_path: Path) -> None:
    data = next(data for path, data in FILES.items() if Path(path).name == name)
    found = {}
    for what, change in spoilings(data):
        wrong = complaints(right, shown(spoil(name, change), json.loads(FILES["manifest.json"]), tmp_path))
        if wrong:
            found[what] = wrong
    assert found == {}
