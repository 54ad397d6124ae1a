# SPDX-License-Identifier: Apache-2.0
"""Files from strangers: unsafe archives are refused whole, damaged ones used as far as they go."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import tarfile
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.maker import FOLDER
from vnetkb.bundle import Limits, read_bundle
from vnetkb.bundle.guest_file import with_guest
from vnetkb.bundle.validate import validate
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.maker import Entry, Maker

MIB = 1024 * 1024


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: str | int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def refused(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(UnusableInput) as caught:
        read_bundle(path, limits) if limits else read_bundle(path)
    message = str(caught.value)
    assert path.name in message
    assert "expected" in message or "cannot be read" in message
    assert message.isprintable()
    assert caught.value.exit_status == 3
    return message


@pytest.mark.parametrize(
    ("info", "found"),
    [
        (entry("/etc/passwd"), "leaves the folder"),
        (entry(f"{FOLDER}/../../x"), "leaves the folder"),
        (entry("../x"), "leaves the folder"),
        (entry(f"{FOLDER}/host//x"), "empty part"),
        (entry(f"{FOLDER}/./x"), "empty part"),
        (entry(f"{FOLDER}/a", tarfile.SYMTYPE, linkname="/etc/passwd"), "a symbolic link"),
        (entry(f"{FOLDER}/a", tarfile.LNKTYPE, linkname=f"{FOLDER}/b"), "a hard link"),
        (entry(f"{FOLDER}/a", tarfile.CHRTYPE), "a character device"),
        (entry(f"{FOLDER}/a", tarfile.BLKTYPE), "a block device"),
        (entry(f"{FOLDER}/a", tarfile.FIFOTYPE), "a FIFO"),
        (entry(f"{FOLDER}/a", tarfile.CONTTYPE), "an entry of type"),
        (entry(f"{FOLDER}/a", tarfile.GNUTYPE_SPARSE), "a sparse file"),
        (entry(f"{FOLDER}/manifest.json"), "the same name as"),
        (entry(f"{FOLDER}/MANIFEST.json"), "the same name as"),
        (entry(f"{FOLDER}/host/0/Sysfs-Net"), "the same name as"),
        (entry(f"{FOLDER}/manifest.json", tarfile.DIRTYPE), "the same name as"),
        (entry("another/x"), "a second top folder"),
        (entry("x"), "a second top folder"),
    ],
)
def test_an_unsafe_entry_refuses_the_whole_archive(make: Maker, info: tarfile.TarInfo, found: str) -> None:
    good: list[Entry] = [(entry(name, size=len(data)), data) for name, data in make.members().items()]
    assert found in refused(make.write(gzip.compress(make.tar([*good, info]))))
    refused(make.write(gzip.compress(make.tar([info, *good]))))


def test_a_folder_may_be_named_twice(make: Maker) -> None:
    folder = entry(FOLDER, tarfile.DIRTYPE)
    good = [(entry(name, size=len(data)), data) for name, data in make.members().items()]
    assert read_bundle(make.write(make.tar([folder, *good, folder]), "b.tar")).notices == ()


def test_members_without_a_top_folder(make: Maker) -> None:
    assert "one top folder" in refused(make.write(make.tar({"manifest.json": b"{}"}), "b.tar"))


SPARSE = [
    {"GNU.sparse.major": "0", "GNU.sparse.size": str(10**12), "GNU.sparse.map": "0,1"},
    {"GNU.sparse.size": "9", "GNU.sparse.numblocks": "x"},
    {"GNU.sparse.map": "x"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60)},
]


@pytest.mark.parametrize("records", SPARSE)
def test_a_sparse_file_by_pax_records_is_refused(make: Maker, records: dict[str, str]) -> None:
    info = entry(f"{FOLDER}/a", size=1)
    info.pax_headers = records
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in make.members().items():
            archive.addfile(entry(name, size=len(data)), io.BytesIO(data))
        archive.addfile(info, io.BytesIO(b"x"))
    path = make.write(buffer.getvalue(), "b.tar")
    assert "a sparse file" in refused(path)
    with pytest.raises(UnusableInput, match="a sparse file"):
        validate(path)


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder"])
def test_what_is_no_regular_file_is_refused_before_it_is_opened(
    tmp_path: Path, make: Maker, kind: str
) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "b.tar.gz"
    bundle = read_bundle(make.bundle())
    with socket.socket(socket.AF_UNIX) as bound:
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            bound.bind(str(path))
        elif kind == "folder":
            path.mkdir()
        for read in (read_bundle, validate, lambda place: with_guest(bundle, "web01", place)):
            with pytest.raises(UnusableInput, match=f"(?i)found a .*{kind}, expected"):
                read(path)


def header(name: bytes, size: bytes, kind: bytes) -> bytes:
    """Return a tar header with any size field."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124 : 124 + len(size)] = size
    block[136:148], block[156:157], block[257:265] = b"00000000000\0", kind, b"ustar\x0000"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"X"])
def test_giant_extended_headers_are_refused_before_they_are_read(make: Maker, kind: bytes) -> None:
    path = make.write(gzip.compress(header(b"x", b"00100000000", kind) + bytes(8 * MIB)))
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "extended headers" in message
    assert peak < 2 * MIB


def test_many_extended_headers_in_a_row_are_refused(make: Maker) -> None:
    assert "extended headers" in refused(make.write(header(b"x", b"00000000000", b"x") * 5000, "b.tar"))


def test_many_small_extended_headers_are_refused(make: Maker) -> None:
    body = b"30 comment=" + b"x" * 18 + b"\n"
    one = header(b"x", b"%011o" % (34 * len(body)), b"x") + (body * 34).ljust(1024, b"\0")
    entries = b"".join(
        one + header(b"%s/%d" % (FOLDER.encode(), n), b"00000000000", b"0") for n in range(300)
    )
    assert "extended headers" in refused(make.write(gzip.compress(entries), "b.tgz"))


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777"])
def test_sizes_that_are_negative_or_enormous(make: Maker, size: bytes) -> None:
    assert refused(make.write(header(f"{FOLDER}/a".encode(), size, b"0") + bytes(2048), "b.tar"))


def test_a_negative_size_by_pax_records(make: Maker) -> None:
    record = b"13 size=-512\n"
    archive = header(b"x", b"%011o" % len(record), b"x") + record.ljust(512, b"\0")
    archive += header(f"{FOLDER}/a".encode(), b"00000000000", b"0") + bytes(1024)
    assert refused(make.write(archive, "b.tar"))


def test_a_gzip_bomb_is_refused_early(make: Maker) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = compressor.compress(header(f"{FOLDER}/a".encode(), b"00400000000", b"0"))
    zeros = bytes(MIB)
    packed += b"".join(compressor.compress(zeros) for _ in range(200)) + compressor.flush()
    path = make.write(packed)
    tracemalloc.start()
    message = refused(path, Limits(ratio_after_bytes=MIB))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "unpacked bytes for each packed byte" in message
    # Python 3.12 and later unpack 128 KiB of packed data at once
    assert peak < 100 * MIB


def test_limits_of_member_total_and_number(make: Maker) -> None:
    path = make.bundle()
    assert "at most 20 bytes" in refused(path, Limits(member_bytes=20))
    assert "unpacked bytes" in refused(path, Limits(total_bytes=4096))
    assert "more than 3 members" in refused(path, Limits(members=3))
    assert "at most 100" in refused(path, Limits(manifest_bytes=100))


def test_what_follows_the_end_of_the_archive_counts_too(make: Maker) -> None:
    data = gzip.compress(make.tar(make.members()) + bytes(4 * MIB))
    assert "unpacked bytes" in refused(make.write(data), Limits(total_bytes=2 * MIB))


def test_captures_of_idle_devices_are_no_bomb(make: Maker) -> None:
    line = " vnet{}: 123456 123 0 0 0 0 0 0 123456 123 0 0 0 0 0 0\n"
    sample = "".join(line.format(n) for n in range(400))
    data = "".join(f"@ {n} {n}.00\n{sample}" for n in range(1200)).encode()
    assert len(data) > 16 * MIB
    bundle = read_bundle(make.bundle(files={"series/proc-net-dev": data}))
    assert bundle.data("proc-net-dev", None, "series") == data


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"hello\n", "text"),
        (b"\x00\x01\x02\x03", "no archive"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"\xfd7zXZ\x00" + bytes(100), "an xz archive"),
        (b"age-encryption.org/v1\n", "encrypted with age"),
        (b'{"a": 1}', "JSON"),
        (b"\xff\xd8\xff\xe0", "no archive"),
        (gzip.compress(b"", mtime=0), "cut off"),
        (gzip.compress(b"hello\n" * 200, mtime=0), "not a tar archive|no tar archive|damaged"),
        (gzip.compress(b"hello\n" * 200, mtime=0)[:30], "cut off"),
        (b"\x1f\x8b" + b"\xff" * 40, "damaged|no tar archive|cut off"),
    ],
)
def test_what_is_no_bundle_is_named(make: Maker, data: bytes, found: str) -> None:
    message = refused(make.write(data, "something.bin"))
    assert any(part in message for part in found.split("|")), message


def test_folders_and_missing_files(tmp_path: Path) -> None:
    assert "a folder" in refused(tmp_path)
    assert "cannot be read: no such file" in refused(tmp_path / "nothing.tgz")


@pytest.mark.parametrize(
    ("top", "member", "kind"),
    [
        ("sosreport-node7-2026", "sos_commands/networking/ip_-s_link", "a sosreport"),
        ("node7", "sos_commands/x", "a sosreport"),
        ("ovs-bugtool-2026", "inventory.xml", "ovs-bugtool"),
        ("linux-6.12", "Kconfig", "kernel source"),
        ("something", "a/b", None),
    ],
)
def test_a_foreign_archive_is_told_what_it_looks_like(
    make: Maker, top: str, member: str, kind: str | None
) -> None:
    message = refused(make.write(gzip.compress(make.tar({f"{top}/{member}": b"x"}))))
    assert (kind in message) if kind else ("looks like" not in message)
    assert "manifest.json" in message


def test_a_sosreport_with_links_is_still_named(make: Maker) -> None:
    entries = [entry("sosreport-a/version.txt"), entry("sosreport-a/x", tarfile.SYMTYPE, linkname="y")]
    assert "a sosreport" in refused(make.write(gzip.compress(make.tar(entries))))


def test_names_that_would_drive_a_terminal_are_escaped(make: Maker) -> None:
    evil = f"{FOLDER}/\x1b[2J\u202etxt.exe"
    message = refused(make.write(make.tar([entry(evil, tarfile.SYMTYPE)]), "b.tar"))
    assert "\\x1b[2J\\u202e" in message
    files = make.files() | {"host/0/\x1b]0;x\x07": b""}
    bundle = read_bundle(make.bundle(make.manifest(), files))
    assert all((notice.member or "").isprintable() for notice in bundle.notices)


def test_names_that_are_no_text(make: Maker) -> None:
    evil = make.tar([entry(f"{FOLDER}/XX", tarfile.SYMTYPE)]).replace(b"/XX", b"/\xff\xfe")
    # the sum of the header counts bytes, so it is made again
    block = bytearray(evil[:512])
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    assert "\\udcff\\udcfe" in refused(make.write(bytes(block) + evil[512:], "b.tar"))


def as_manifest(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "JSON"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b"{", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[" * 100_000, "depth"),
        (b'{"a":' * 100_000, "depth"),
        (b"[" + b"1," * 1_000_001 + b"1]", "values"),
        (b"{}", "schema_version"),
    ],
)
def test_a_manifest_that_is_no_manifest(make: Maker, data: bytes, found: str) -> None:
    message = refused(make.bundle(data))
    assert "manifest.json" in message
    assert found in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda m: m["captures"].append(dict(m["captures"][0])), "twice"),
        (lambda m: m["captures"][1].update(path=m["captures"][0]["path"]), "twice"),
        (lambda m: m["snapshots"].append(dict(m["snapshots"][0])), "rising"),
        (lambda m: m["snapshots"][1].update(monotonic_s=1), "rising"),
        (lambda m: m["captures"][0].update(bytes=-1), "whole number"),
        (lambda m: m["captures"][0].update(bytes=True), "whole number"),
        (lambda m: m["captures"][0].update(bytes=0.5), "whole number"),
        (lambda m: m["captures"][0].update(id="../x"), "small letters"),
        (lambda m: m["captures"][0].update(sha256="x"), "64 hex digits"),
        (lambda m: m["captures"][0].update(absent={"reason": "x", "detail": ""}), "path"),
        (lambda m: m["captures"][0].update(path=None), "path"),
        (lambda m: m["captures"][0].update(argv="cat"), "an array"),
        (lambda m: m["captures"][0].update(argv=[1]), "argv[0]"),
        (lambda m: m.update(start=None), "start"),
        (lambda m: m["host"].update(name=""), "host.name"),
        (lambda m: m["options"].update(devices=[None]), "options.devices"),
    ],
)
def test_a_manifest_that_says_the_impossible_is_refused(
    make: Maker, change: Callable[[dict[str, Any]], None], found: str
) -> None:
    manifest = make.manifest()
    change(manifest)
    assert found in refused(make.bundle(manifest))


def test_a_manifest_may_be_as_long_as_it_likes_in_what_it_does_not_mean(make: Maker) -> None:
    manifest = make.manifest() | {"\x1b[2J": "\u202e" * 1000}
    assert read_bundle(make.bundle(manifest)).notices == ()


patient = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def holds(path: Path) -> None:
    """Assert that a file gives a bundle whose every capture is known or explained, or is refused."""
    try:
        bundle = read_bundle(path, Limits(total_bytes=8 * MIB))
    except UnusableInput as error:
        message = str(error)
    else:
        message = ""
        for capture in bundle.manifest.captures:
            data = bundle.data(capture.id, capture.snapshot, capture.scope)
            why = bundle.why_absent(capture.id, capture.snapshot, capture.scope)
            assert (data is None) == bool(why)
            assert why.isprintable()
        assert all(notice.text.isprintable() for notice in bundle.notices)
    assert not message or message.isprintable()


@given(data=st.data())
@patient
def test_any_truncation_of_a_recorded_bundle(recorded: Path, make: Maker, data: st.DataObject) -> None:
    whole = recorded.read_bytes()
    holds(make.write(whole[: data.draw(st.integers(0, len(whole)))]))


@given(data=st.data())
@patient
def test_any_truncation_of_a_plain_tar(make: Maker, data: st.DataObject) -> None:
    whole = make.tar(make.members())
    path = make.write(whole[: data.draw(st.integers(0, len(whole)))], "cut.tar")
    holds(path)


@given(data=st.data())
@patient
def test_any_bytes_changed(make: Maker, data: st.DataObject) -> None:
    whole = bytearray(make.tar(make.members()))
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(whole) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=12))
        whole[start : start + len(piece)] = piece
    compressed = data.draw(st.booleans())
    path = make.write(gzip.compress(bytes(whole), 1) if compressed else bytes(whole), "changed.bin")
    holds(path)


@given(data=st.binary(max_size=2000), start=st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x1f\x8b"]))
@patient
def test_any_bytes(make: Maker, data: bytes, start: bytes) -> None:
    holds(make.write(start + data, "any.bin"))


@given(data=st.binary(max_size=1500))
@patient
def test_any_headers_with_a_right_sum(make: Maker, data: bytes) -> None:
    blocks = b""
    for at in range(0, len(data), 500):
        block = bytearray(data[at : at + 500].ljust(512, b"\0"))
        block[257:265] = b"ustar\x0000"
        block[148:156] = b"        "
        block[148:156] = b"%06o\0 " % sum(block)
        blocks += bytes(block)
    holds(make.write(blocks + bytes(1024), "headers.tar"))
