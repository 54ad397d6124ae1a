# SPDX-License-Identifier: Apache-2.0
"""Every command on files from strangers: unsafe ones are refused, damaged ones used as far as they go."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import re
import tarfile
from typing import TYPE_CHECKING

import pytest

import bundles
from bundle.maker import FOLDER, Maker
from vnetkb.cli import main
from vnetkb.errors import EXIT_DEFECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS: dict[str, tuple[str, ...]] = {
    "analyze": ("analyze", "--all", "{}"),
    "analyze-json": ("analyze", "--format", "json", "{}"),
    "analyze-html": ("analyze", "--all", "--format", "html", "{}"),
    "analyze-markdown": ("analyze", "--all", "--format", "markdown", "{}"),
    "validate": ("validate", "{}"),
    "show": ("show", "{}"),
    "path": ("path", "--to", "vnet3", "{}"),
    "compare": ("compare", "--all", "{good}", "{}"),
    "compare-after": ("compare", "{}", "{good}"),
    "export": ("export", "{}", "-o", "{out}/tables"),
    "redact": ("redact", "{}", "-o", "{out}/masked.tar.gz"),
}
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@pytest.fixture(scope="session")
def good(tree: Path) -> Path:
    """Return the recorded bundle."""
    (bundle,) = (tree / "tests/data/demo").glob("vnetkb-*.tar.gz")
    return bundle


@pytest.fixture
def run(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, Path], tuple[int, str, str]]:
    """Return a function that runs a command on a file: its status, stdout and stderr."""

    def call(command: str, file: Path) -> tuple[int, str, str]:
        status = main([word.format(file, good=good, out=tmp_path) for word in COMMANDS[command]])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return a tar archive of one entry."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(info)
    return out.getvalue()


def whole(make: Maker, **more: bytes) -> bytes:
    return make.tar({**make.members(), **{f"{FOLDER}/{name}": data for name, data in more.items()}})


UNSAFE: dict[str, Callable[[Maker], bytes]] = {
    "traversal": lambda _: of(f"{FOLDER}/../../etc/cron.d/x"),
    "absolute": lambda _: of("/etc/cron.d/x"),
    "link": lambda _: of(f"{FOLDER}/a", tarfile.SYMTYPE, "/etc/passwd"),
    "hard-link": lambda _: of(f"{FOLDER}/a", tarfile.LNKTYPE, f"{FOLDER}/b"),
    "device": lambda _: of(f"{FOLDER}/a", tarfile.BLKTYPE),
    "fifo": lambda _: of(f"{FOLDER}/a", tarfile.FIFOTYPE),
    "twice": lambda make: make.tar(
        [tarfile.TarInfo(name) for name in (*make.members(), f"{FOLDER}/manifest.json")]
    ),
    "but-for-case": lambda make: whole(make, **{"HOST/0/sysfs-net": b""}),
    "bomb": lambda make: gzip.compress(of(f"{FOLDER}/a")[:-10240] + make.tar({}) + bytes(40 << 20)),
    "gzip-in-gzip": lambda make: gzip.compress(gzip.compress(make.tar(make.members()))),
    "tar-in-tar": lambda make: make.tar({f"{FOLDER}/bundle.tar": make.tar(make.members())}),
    "many-members": lambda _: gzip.compress(of(f"{FOLDER}/a")[:512] * 60_000, 1),
    "no-manifest": lambda make: make.tar({f"{FOLDER}/a": b""}),
    "deep-manifest": lambda make: make.tar({f"{FOLDER}/manifest.json": b'{"a":' * 100_000}),
    "manifest-no-text": lambda make: make.tar({f"{FOLDER}/manifest.json": b"\xff\xfe{}"}),
    "empty": lambda _: b"",
    "cut-off": lambda make: gzip.compress(make.tar(make.members()))[:120],
}


@pytest.mark.parametrize("attack", sorted(UNSAFE))
def test_an_unsafe_file_is_refused_by_every_command(
    run: Callable[[str, Path], tuple[int, str, str]], tmp_path: Path, attack: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = Maker(folder).write(UNSAFE[attack](Maker(folder)), "evil.tar.gz")

    # All read archives by one door: the two that load no knowledge try each attack, the others one.
    for command in COMMANDS if attack == "link" else ("show", "redact"):
        status, out, error = run(command, file)
        assert (command, status, out) == (command, 3, "")
        assert "evil.tar.gz" in error
        assert error.endswith("\n")
        assert error[:-1].isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


NUMBERS = (b"-1", b"18446744073709551616", b"9" * 30, b"9" * 400, b"9" * 5000, b"1e999", b"nan", b"0x10", b"")
TEXTS = (
    *(
        b"\x1b[2J",
        b"\x1b]0;x\x07",
        b"\xe2\x80\xae",
        b"\x85",
        b"\xc2\x9b2J",
        b"\xe2\x80\xa8",
        b"\xff\xfe",
        b"\x00",
    ),
    *(
        b"<script>alert(1)</script>",
        b'"><img src=x onerror=alert(1)>',
        b"=cmd|'/C calc'!A0",
        b"@SUM(1)",
        b"`|#",
    ),
    *(b"{", b"}", b"[", b'"', b"\\", b"%s", b"{0}", b"\r", b"\t", b" ", b":", b"x" * 5000),
)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return a capture with numbers out of range, texts that steer, lines gone, doubled or mixed up."""
    lines = data.split(b"\n")
    how = chance.randrange(6)
    if how == 0:
        return data[: chance.randrange(len(data) + 1)]
    if how == 1:
        chance.shuffle(lines)
        return b"\n".join(lines[len(lines) // 4 :] + lines[:2] * 3)
    pattern, pieces = (rb"[0-9]+", NUMBERS) if how in {2, 3} else (rb"[A-Za-z_][A-Za-z0-9_-]+", TEXTS)
    share = chance.choice([0.02, 0.3])
    return re.sub(pattern, lambda found: chance.choice(pieces) if chance.random() < share else found[0], data)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_captures_break_no_command(
    run: Callable[[str, Path], tuple[int, str, str]], good: Path, tmp_path: Path, seed: int
) -> None:
    captures = sorted({row["id"] for row in bundles.manifest(good)["captures"]})
    edits: dict[str, bundles.Edit] = {}
    for capture in captures:
        chance = random.Random(f"{seed} {capture}")  # noqa: S311 - repeatable, not secret
        if chance.random() < 0.5:
            edits[capture] = lambda data, chance=chance: damaged(data, chance)  # type: ignore[misc]
    file = bundles.rewrite(good, tmp_path / "vnetkb-evil.tar.gz", edit=edits)

    for command in COMMANDS:
        status, out, error = run(command, file)
        assert status < EXIT_DEFECT, f"{command}: {error}"
        assert not STEERS.search(out + error), command
        assert "<script>" not in out or command not in {"analyze-html", "analyze-markdown"}
        assert "<img src=x" not in out or command not in {"analyze-html", "analyze-markdown"}
    for table in (tmp_path / "tables").glob("*.csv"):
        text = table.read_text(encoding="utf-8")
        assert not STEERS.search(text)
        assert not re.search(r"(?:^|,)[=+@]", text, re.MULTILINE)


def test_every_way_to_cut_it_off_is_told(
    run: Callable[[str, Path], tuple[int, str, str]], good: Path, tmp_path: Path
) -> None:
    data = good.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        file = tmp_path / "cut.tar.gz"
        file.write_bytes(data[: int(len(data) * share)])
        for command in ("analyze", "validate", "show", "redact", "compare"):
            status, _, error = run(command, file)
            assert (command, status) == (command, 3)
            assert "cut off" in error


def test_a_manifest_that_lies_costs_only_what_it_lies_about(
    run: Callable[[str, Path], tuple[int, str, str]], tmp_path: Path
) -> None:
    make = Maker(tmp_path)
    manifest = make.manifest()
    manifest["captures"][0]["sha256"] = hashlib.sha256(b"x").hexdigest()
    manifest["captures"][1]["bytes"] += 1
    manifest["captures"][2]["path"] = "host/0/not-there"
    manifest["options"]["devices"] = ["\x1b[2J\u202e=1"]
    manifest["kernel"]["release"] = "6.1\x1b]0;x\x07"
    file = make.bundle(manifest)

    for command in ("analyze", "analyze-html", "validate", "show", "export", "redact", "compare"):
        status, out, error = run(command, file)
        assert status < EXIT_DEFECT, f"{command}: {error}"
        assert not STEERS.search(out + error), command
    status, out, _ = run("validate", file)
    assert status == 1
    assert out.count("host/0/sysfs-net") >= 1
    assert out.count("host/1/sysfs-net") >= 1
