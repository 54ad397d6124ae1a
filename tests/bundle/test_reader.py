# SPDX-License-Identifier: Apache-2.0
"""What a reader gets from bundles that are whole, partly damaged, or from another version."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import os
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from vnetkb.bundle import Bundle, read_bundle
from vnetkb.errors import UnusableInput
from vnetkb.parsers import series

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.maker import Maker


def texts(bundle: Bundle) -> list[str]:
    return [f"{notice.level} {notice.member}: {notice.text}" for notice in bundle.notices]


def test_a_whole_bundle_gives_its_captures_and_no_notice(make: Maker) -> None:
    path = make.bundle()
    bundle = read_bundle(path)
    assert bundle.notices == ()
    assert (bundle.name, bundle.folder) == (path.name, path.name.removesuffix(".tar.gz"))
    assert bundle.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert bundle.data("sysfs-net", 1) == make.files()["host/1/sysfs-net"]
    assert bundle.data("proc-stat", None, "series") == make.files()["series/proc-stat"]
    assert bundle.path("sysfs-net", 1) == "host/1/sysfs-net"
    assert bundle.path("proc-stat", scope="series") == "series/proc-stat"
    assert bundle.why_absent("sysfs-net", 1) == ""
    capture = bundle.capture("sysfs-net", 1)
    assert capture is not None
    assert capture.bytes == 45
    assert bundle.capture("sysfs-net", 7) is None


def test_the_manifest_is_typed(make: Maker) -> None:
    manifest = read_bundle(make.bundle()).manifest
    assert (manifest.host, manifest.kernel_release, manifest.root, manifest.masked) == (
        "node7",
        "6.1.0",
        True,
        False,
    )
    assert [
        (snapshot.n, snapshot.monotonic_s, snapshot.end_monotonic_s) for snapshot in manifest.snapshots
    ] == [
        (0, 10.0, 10.5),
        (1, 20.0, None),
    ]
    assert manifest.wait_for_drop is not None
    assert manifest.wait_for_drop["devices"] == ["vnet3"]
    assert manifest.notes == ("a note",)
    assert manifest.captures[0].argv == ("cat", "sysfs-net")


def test_an_absent_capture_says_why_in_plain_words(make: Maker) -> None:
    bundle = read_bundle(make.bundle())
    assert bundle.data("tc-qdisc", 1) is None
    assert bundle.why_absent("tc-qdisc", 1) == (
        "host/1/tc-qdisc is missing: the host has no such tool (tc not found)"
    )
    assert bundle.why_absent("never-heard-of", 7) == "host/7/never-heard-of was not collected"
    assert bundle.path("never-heard-of", 7) == "host/7/never-heard-of"


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_the_manifest_may_be_anywhere_and_a_plain_tar_will_do(
    make: Maker, order: int, *, compressed: bool
) -> None:
    members = dict(list(make.members().items())[::order])
    archive = make.tar(members)
    bundle = read_bundle(make.write(gzip.compress(archive) if compressed else archive))
    assert bundle.notices == ()
    assert bundle.data("sysfs-net", 0) is not None


def test_a_repacked_bundle_with_folders_and_a_leading_dot_is_the_same(make: Maker, tmp_path: Path) -> None:
    for name, data in make.members().items():
        target = tmp_path / "unpacked" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    path = tmp_path / "again.tgz"
    subprocess.run(["tar", "-C", tmp_path / "unpacked", "-czf", path, "."], check=True)
    bundle = read_bundle(path)
    assert bundle.notices == ()
    assert bundle.data("os-release", 0) == b"ID=debian\n"


def test_gzip_in_several_members_is_one_archive(make: Maker) -> None:
    archive = make.tar(make.members())
    path = make.write(gzip.compress(archive[:700]) + gzip.compress(archive[700:]))
    assert read_bundle(path).notices == ()


def test_a_capture_with_a_wrong_sum_is_unknown_and_the_rest_is_used(make: Maker) -> None:
    files = make.files()
    manifest = make.manifest(files)
    files["host/1/sysfs-net"] = files["host/1/sysfs-net"].replace(b":9", b":8")
    bundle = read_bundle(make.bundle(manifest, files))
    assert bundle.data("sysfs-net", 1) is None
    assert "sha256" in bundle.why_absent("sysfs-net", 1)
    assert bundle.data("sysfs-net", 0) is not None
    assert len(bundle.notices) == 1
    assert bundle.notices[0].member == "host/1/sysfs-net"


@pytest.mark.parametrize(("key", "value"), [("bytes", 3), ("sha256", None), ("sha256", "0" * 64)])
def test_a_capture_that_the_manifest_lies_about_is_unknown(make: Maker, key: str, value: object) -> None:
    manifest = make.manifest()
    manifest["captures"][0][key] = value
    bundle = read_bundle(make.bundle(manifest))
    assert bundle.data("sysfs-net", 0) is None
    assert texts(bundle)[0].startswith("warning host/0/sysfs-net: not used: found ")


def test_a_missing_member_is_unknown(make: Maker) -> None:
    files = make.files()
    manifest = make.manifest(files)
    del files["host/0/sysfs-net"]
    bundle = read_bundle(make.bundle(manifest, files))
    assert bundle.data("sysfs-net", 0) is None
    assert texts(bundle) == ["warning host/0/sysfs-net: not used: found nothing, expected 45 bytes"]


def test_a_file_that_the_manifest_does_not_name_is_left_out(make: Maker) -> None:
    manifest = make.manifest()
    files = make.files()
    files |= {f"host/0/extra-{n}": b"x" for n in range(5)}
    bundle = read_bundle(make.bundle(manifest, files))
    assert bundle.data("extra-0", 0) is None
    assert len(bundle.notices) == 4
    assert texts(bundle)[3] == "warning None: 2 more files left out: the manifest does not name them"


def test_a_path_in_the_manifest_reaches_nothing_outside_the_archive(make: Maker) -> None:
    manifest = make.manifest()
    for index, path in enumerate(["../../etc/passwd", "/etc/passwd", "manifest.json"]):
        manifest["captures"][index]["path"] = path
    bundle = read_bundle(make.bundle(manifest))
    for capture in manifest["captures"][:3]:
        assert bundle.data(capture["id"], capture["snapshot"], capture["scope"]) is None


def test_a_capture_that_was_cut_ends_with_its_last_whole_line(make: Maker) -> None:
    files = make.files()
    files["host/0/sysfs-net"] += b"vnet3/statistics/rx_pack"
    manifest = make.manifest(files)
    manifest["captures"][0]["truncated"] = True
    bundle = read_bundle(make.bundle(manifest, files))
    assert bundle.data("sysfs-net", 0) == make.files()["host/0/sysfs-net"]
    assert texts(bundle)[0].startswith("warning host/0/sysfs-net: cut by the collector")


def test_unknown_captures_and_keys_are_passed_over(make: Maker) -> None:
    files = make.files() | {"host/0/of-the-future": b"x\n"}
    manifest = make.manifest(files) | {"new": {"key": 1}}
    manifest["captures"][0]["new"] = [1]
    bundle = read_bundle(make.bundle(manifest, files))
    assert bundle.notices == ()
    assert bundle.data("of-the-future", 0) == b"x\n"


def test_a_newer_minor_schema_is_a_notice(make: Maker) -> None:
    bundle = read_bundle(make.bundle(make.manifest() | {"schema_version": "1.7"}))
    assert [notice.level for notice in bundle.notices] == ["info"]
    assert "1.7" in bundle.notices[0].text


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "1.0.0", "one", ""])
def test_another_major_schema_is_refused(make: Maker, version: str) -> None:
    with pytest.raises(UnusableInput, match="schema_version"):
        read_bundle(make.bundle(make.manifest() | {"schema_version": version}))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("at", [b"schema_version", b"ID=debian", b"os-release", b"host/1/sysfs-net\0"])
def test_an_archive_that_is_cut_off_is_refused(
    make: Maker, order: int, at: bytes, *, compressed: bool
) -> None:
    archive = make.tar(dict(list(make.members().items())[::order]))
    cut = archive[: archive.rindex(at)]
    with pytest.raises(UnusableInput, match=r"is cut off.*, after \d files, expected the whole file"):
        read_bundle(make.write(gzip.compress(cut) if compressed else cut))


def test_a_tar_without_the_zeros_at_its_end_is_cut_off(make: Maker) -> None:
    cut = make.tar(make.members()).rstrip(b"\0")
    whole = cut + bytes(-len(cut) % 512)
    with pytest.raises(UnusableInput, match="is cut off, after 6 files"):
        read_bundle(make.write(whole, "cut.tar"))
    assert read_bundle(make.write(whole + bytes(512), "whole.tar")).notices == ()


def test_a_gzip_file_that_lacks_its_last_byte_is_cut_off(make: Maker) -> None:
    whole = gzip.compress(make.tar(make.members()))
    with pytest.raises(UnusableInput, match="is cut off, after 6 files"):
        read_bundle(make.write(whole[:-1]))


def test_damaged_compressed_data_costs_what_follows_it(make: Maker) -> None:
    # text that does not pack: gzip gives up the 8 KiB of packed data in which it meets the damage
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(1000))
    files = make.files()
    whole = {"host/1/sysfs-net": files.pop("host/1/sysfs-net"), "series/noise": noise, **files}
    archive = make.tar(make.members(files=whole))
    compressor = zlib.compressobj(wbits=31)
    packed = compressor.compress(archive[: archive.index(b"ID=debian")]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    # a kind of block that deflate does not have
    bundle = read_bundle(make.write(packed + b"\xff" * 64))
    assert bundle.data("sysfs-net", 1) is not None
    assert bundle.data("os-release", 0) is None
    assert "the compressed data is damaged" in texts(bundle)[0]
    assert "the compressed data is damaged" in bundle.why_absent("os-release", 0)


def test_a_damaged_header_costs_what_follows_it(make: Maker) -> None:
    archive = bytearray(make.tar(make.members()))
    archive[archive.rindex(b"host/0/os-release")] ^= 1
    bundle = read_bundle(make.write(bytes(archive), "damaged.tar"))
    assert bundle.data("sysfs-net", 1) is not None
    assert bundle.data("os-release", 0) is None
    assert "a header in the archive is damaged" in bundle.why_absent("os-release", 0)
    assert (
        texts(bundle)[0]
        == "warning None: a header in the archive is damaged: what was read before that is used"
    )


def test_a_gzip_file_with_a_wrong_sum_at_its_end_is_used_with_a_notice(make: Maker) -> None:
    whole = gzip.compress(make.tar(make.members()))
    broken = whole[:-8] + bytes(byte ^ 0xFF for byte in whole[-8:-4]) + whole[-4:]
    bundle = read_bundle(make.write(broken))
    assert bundle.data("sysfs-net", 1) is not None
    assert "incorrect data check" in texts(bundle)[0]


def test_a_bundle_that_the_collector_wrote_on_linux_6_1(recorded: Path) -> None:
    bundle = read_bundle(recorded)
    assert bundle.notices == ()
    assert bundle.manifest.kernel_release == "6.1.0-56-cloud-amd64"
    for capture in bundle.manifest.captures:
        data = bundle.data(capture.id, capture.snapshot, capture.scope)
        assert (data is None) == (capture.absent is not None)
        if data is None:
            assert bundle.why_absent(capture.id, capture.snapshot, capture.scope)
            continue
        module = importlib.import_module(f"vnetkb.parsers.{capture.id.replace('-', '_')}")
        if capture.scope == "series" and capture.id != "trace":
            assert len([module.parse(sample.data) for sample in series.split(data)]) == 20
        else:
            assert module.parse(data) is not None


def test_reading_imports_neither_jsonschema_nor_any_parser() -> None:
    script = (
        "import sys, vnetkb.bundle\n"
        "bad = ('jsonschema', 'xml', 'yaml', 'typer', 'vnetkb.parsers', 'vnetkb.facts', 'vnetkb.kb')\n"
        "assert not [name for name in sys.modules if name.startswith(bad)]\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environment
    )
    assert done.stderr == ""
    assert done.returncode == 0
