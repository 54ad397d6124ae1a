# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing with atheris (libFuzzer) of everything that reads bytes of strangers.

`python tools/fuzz.py --seconds 3600` shares the time among the targets; what a target fails on is kept in
tests/fuzz/findings/TARGET and played again by the tests. Needs the extra `fuzz`.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TREE = Path(__file__).resolve().parents[1]
FINDINGS = TREE / "tests" / "fuzz" / "findings"
SHARED = {"errors", "text", "json_text", "tc_text", "windows_text"}
BLOCK = 512
MEMORY_MIB = 2048
INPUT_S = 20
RESERVE_S = 120


def parser_names() -> list[str]:
    """Return the names of the parsers, in an order that only grows apart with new ones."""
    import vnetkb.parsers  # noqa: PLC0415  # atheris instruments it first

    return sorted({module.name for module in pkgutil.iter_modules(vnetkb.parsers.__path__)} - SHARED)


def parsers() -> Callable[[bytes], None]:
    """Return the target of all parsers: the first line of the input is the name of one."""
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415

    parse = {}
    for name in parser_names():
        module = importlib.import_module(f"vnetkb.parsers.{name}")
        parse[name.encode()] = module.split if name == "series" else module.parse
    names = sorted(parse)

    def one(data: bytes) -> None:
        head, _, rest = data.partition(b"\n")
        chosen = parse.get(head) or parse[names[sum(head) % len(names)]]
        with suppress(ParseError):
            chosen(rest)

    return one


def manifest() -> Callable[[bytes], None]:
    """Return the target of the manifest."""
    from vnetkb.bundle.manifest import ManifestFault, parse_manifest  # noqa: PLC0415

    def one(data: bytes) -> None:
        with suppress(ManifestFault):
            parse_manifest(data)

    return one


def with_right_sums(data: bytes) -> bytes:
    """Give tar headers a right checksum, as a fuzzer cannot guess one."""
    blocks = bytearray(data)
    for at in range(0, len(blocks) - BLOCK + 1, BLOCK):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b"        "
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + BLOCK])
    return bytes(blocks)


def archive() -> Callable[[bytes], None]:
    """Return the target of the archive reader: plain tar, or packed where the first byte is odd."""
    from vnetkb.bundle import Limits, read_bundle  # noqa: PLC0415
    from vnetkb.bundle.validate import validate  # noqa: PLC0415
    from vnetkb.errors import UnusableInput  # noqa: PLC0415

    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())  # noqa: S108  # no fixed name
    path = folder / f"vnetkb-fuzz-{os.getpid()}"
    limits = Limits(member_bytes=1 << 20, total_bytes=4 << 20, members=200, ratio_after_bytes=1 << 20)

    def one(data: bytes) -> None:
        body = with_right_sums(data[1:])
        path.write_bytes(gzip.compress(body, 1) if data[:1] and data[0] % 2 else body)
        with suppress(UnusableInput):
            read_bundle(path, limits)
        if data[:1] and data[0] & 30 == 30:  # noqa: PLR2004  # few, as the schema takes a hundred times as long
            with suppress(UnusableInput):
                validate(path, (), limits)

    return one


def guest() -> Callable[[bytes], None]:
    """Return the target of what guests' collectors write: text container, gzip or zip."""
    from vnetkb.bundle.guest_file import read_guest_file  # noqa: PLC0415
    from vnetkb.errors import UnusableInput  # noqa: PLC0415

    def one(data: bytes) -> None:
        body = gzip.compress(data[1:], 1) if data[:1] and data[0] % 2 else data[1:]
        with suppress(UnusableInput):
            read_guest_file("guest", body)

    return one


def masking() -> Callable[[bytes], None]:
    """Return the target of masking: the first line is a capture's id; nothing the map knows may be left."""
    from vnetkb.privacy.captures import Context, harvest, mask  # noqa: PLC0415
    from vnetkb.privacy.pseudonyms import Pseudonyms  # noqa: PLC0415
    from vnetkb.privacy.redact import load_kept  # noqa: PLC0415
    from vnetkb.privacy.scan import scan  # noqa: PLC0415
    from vnetkb.privacy.text import Masker  # noqa: PLC0415

    kept = load_kept()

    def one(data: bytes) -> None:
        head, _, rest = data.decode("latin-1").partition("\n")
        member = "host/0/" + re.sub(r"[^a-z0-9-]", "", head)
        context = Context(Masker(Pseudonyms(kept)))
        harvest(member, rest, context)
        context.masker.forget()
        scan({member: mask(member, rest, context)}, context.pseudonyms, "")

    return one


TARGETS = {"parsers": parsers, "archive": archive, "manifest": manifest, "guest": guest, "masking": masking}


def seeds(target: str, folder: Path) -> None:
    """Write what a target starts from: recorded captures and bundles."""
    number = 0

    def seed(data: bytes) -> None:
        nonlocal number
        number += 1
        (folder / f"seed-{number:05}").write_bytes(data)

    if target in {"parsers", "masking"}:
        for file in sorted((TREE / "tests" / "parsers" / "fixtures").glob("*/*")):
            if not file.is_file() or file.name == "README.md":
                continue
            name = file.name.partition(".")[0]
            head = name.replace("-", "_") if target == "parsers" else name
            seed(f"{head}\n".encode() + file.read_bytes()[:8192])
        return
    if target == "guest":
        container = b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n|5.0 1.0\n@@ s1/netstat_e.txt\nbm8K\n@@END\n"
        seed(b"\0" + container)
        seed(b"\1" + container)
        seed(b"\0\xff\xfe" + container.decode().encode("utf-16-le"))
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", method) as archive:
                archive.writestr("guest/0/guest-clock", b"5.0 1.0\n")
                archive.writestr("guest/manifest.kv", b"system=linux\n")
            seed(b"\0" + packed.getvalue())
        return
    (recorded,) = (TREE / "tests" / "bundle" / "fixtures").glob("vnetkb-*.tar.gz")
    plain = gzip.decompress(recorded.read_bytes())
    if target == "archive":
        seed(b"\0" + plain[:40_960])
        seed(b"\1" + plain)
        for length in (BLOCK, 3 * BLOCK, 10_240):
            seed(b"\0" + plain[:length] + bytes(1024))
        return
    start = plain.index(b'{"schema_version"')
    seed(plain[start : plain.index(b"\0", start)])


def fuzz(target: str, seconds: int, folder: Path) -> int:
    """Fuzz one target in this process; atheris ends it."""
    import atheris  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415

    found = FINDINGS / target
    found.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["vnetkb", "tarfile"]):
        one = TARGETS[target]()
    words = [sys.argv[0], str(folder), f"-max_total_time={seconds}", f"-timeout={INPUT_S}", "-max_len=65536"]
    words += [
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup(words, one)
    atheris.Fuzz()
    return 0


def run(targets: list[str], seconds: int) -> int:
    """Fuzz targets one after the other, each in a process of its own; print one line a target."""
    failed = 0
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="vnetkb-fuzz-") as folder:
            seeds(target, Path(folder))
            started = time.monotonic()
            share = max(1, seconds // len(targets))
            words = [
                sys.executable,
                str(Path(__file__).resolve()),
                "--target",
                target,
                "--seconds",
                str(share),
                "--in",
                folder,
            ]
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=share + RESERVE_S
            )
            told = done.stderr
            runs = re.search(r"stat::number_of_executed_units: +(\d+)", told)
            cover = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", told)
            peak = re.search(r"stat::peak_rss_mb: +(\d+)", told)
            failed += done.returncode != 0
            print(
                f"{target:9} {runs[1] if runs else '?':>9} inputs in {time.monotonic() - started:.0f} s,"
                f" {cover[-1][0] if cover else '?'} places reached,"
                f" {cover[-1][2] if cover else '?'} kept inputs,"
                f" peak {peak[1] if peak else '?'} MiB: {'a finding' if done.returncode else 'no finding'}",
                flush=True,
            )
            if done.returncode:
                print(told[-3000:], flush=True)
    return 1 if failed else 0


def main() -> int:
    """Run from the command line."""
    reader = argparse.ArgumentParser(description="Fuzz everything that reads bytes of strangers.")
    reader.add_argument("--seconds", type=int, default=60, help="all targets together")
    reader.add_argument("--target", choices=sorted(TARGETS), help="this one only, in this process")
    reader.add_argument("--in", dest="folder", type=Path, help="folder of inputs, with --target")
    asked = reader.parse_args()
    if asked.folder is not None:
        return fuzz(asked.target, asked.seconds, asked.folder)
    return run([asked.target] if asked.target else list(TARGETS), asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
