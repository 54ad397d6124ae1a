# SPDX-License-Identifier: Apache-2.0
"""What a guest's collector wrote, in every form in which it may come, whole, damaged and hostile."""

from __future__ import annotations

import base64
import gzip
import io
import os
import subprocess
import tarfile
import warnings
import zipfile
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.guest_file import read_guest_file, with_guest
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = (
    "VNETKB-CONTAINER 1 vnetkb-guest-web01\n@@ 0/guest-clock\n|uptime 5.0 1.0\n@@ 1/guest-clock\n"
    + base64.b64encode(b"uptime 9.0 1.0\n").decode()
    + "\n@@ ../../evil\n|no\n@@ s0/netstat_e.txt\n|x\n@@ static/os-release\n|ID=debian\n"
    "@@ manifest.kv\n|system=linux\n@@END\n"
)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("guest/0/guest-clock", b"uptime 5.0 1.0\n")
        archive.writestr("guest/s1/guest-clock", b"uptime 9.0 1.0\n")
        archive.writestr("guest/manifest.kv", data)
    return out.getvalue()


def tarred(
    folder: Path,
    files: dict[str, bytes],
    top: str = "vnetkb-guest-web01/",
    mode: Literal["w:gz", "w"] = "w:gz",
) -> Path:
    """Write a tar archive as somebody packs the files of an unpacked container."""
    file = folder / "guest.tgz"
    with tarfile.open(file, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{top}{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


FILES = {
    "0/guest-clock": b"uptime 5.0 1.0\n", "s1/guest-clock": b"uptime 9.0 1.0\n",
    "manifest.kv": b"system=linux\n",
}  # fmt: skip


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("top", ["vnetkb-guest-web01/", "another folder/", "./", "", "a/b/c/"])
def test_a_tar_archive_gives_the_same(tmp_path: Path, top: str, mode: Literal["w:gz", "w"]) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))
    joined = with_guest(bundle, "web01", tarred(tmp_path, FILES, top, mode))

    assert joined.data("guest-clock", 0, "guest:web01") == b"uptime 5.0 1.0\n"
    assert joined.data("guest-clock", 1, "guest:web01") == b"uptime 9.0 1.0\n"
    assert joined.data("guest-manifest", 0, "guest:web01") == b"system=linux\n"


@pytest.mark.parametrize(
    "arguments", [["-C", "folder", "."], ["folder"], ["-C", "folder", "0", "1", "manifest.kv"]]
)
def test_a_folder_that_the_systems_tar_packed(tmp_path: Path, arguments: list[str]) -> None:
    for name, data in FILES.items():
        place = tmp_path / "folder" / name.removeprefix("s")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    subprocess.run(["tar", "czf", "g.tgz", *arguments], cwd=tmp_path, check=True)
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))
    joined = with_guest(bundle, "web01", tmp_path / "g.tgz")

    assert joined.data("guest-clock", 1, "guest:web01") == b"uptime 9.0 1.0\n"
    with pytest.raises(UnusableInput, match="tar czf"):
        with_guest(bundle, "web01", tmp_path / "folder")


def test_a_file_of_the_collector_that_somebody_packed_again(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT.encode())
    beside = {"vnetkb-guest-WEB01.txt.gz": packed, "readme.txt": b"from the customer"}
    forms = [zip_of(*beside.items()), tarred(tmp_path, beside).read_bytes()]
    forms.append(zip_of(("vnetkb-guest-WEB01.txt", b"\xff\xfe" + TEXT.encode("utf-16-le"))))
    for data in forms:
        found = read_guest_file("web01", data).captures
        assert found["guest-clock", 1].strip() == b"uptime 9.0 1.0"
    with pytest.raises(UnusableInput, match="several guests"):
        read_guest_file("both.zip", zip_of(("a.txt", TEXT.encode()), ("b.txt.gz", packed)))


def test_a_file_takes_the_place_of_all_that_the_collector_had_written_before(tmp_path: Path) -> None:
    held = {
        "guest:web01/0/guest-clock": "uptime 1.0 1.0\n",
        "guest:web01/1/guest-clock": "uptime 2.0 1.0\n",
        "guest:web01/1/win-clock": "uptime_ms 1\n",
        "guest:web01/1/agent-interfaces": '{"return": []}\n',
        "guest:db01/1/guest-clock": "uptime 3.0 1.0\n",
    }
    bundle = read_bundle(Host([Device("vnet3")], captures=held).write(tmp_path))
    cut = tmp_path / "guest.txt"
    cut.write_bytes(b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n|uptime 5.0 1.0\n@@ 1/guest-clock\n")
    joined = with_guest(bundle, "web01", cut)

    assert joined.data("guest-clock", 0, "guest:web01") == b"uptime 5.0 1.0\n"
    # a sample of the file and one of another run give a difference that never was
    assert joined.data("guest-clock", 1, "guest:web01") is None
    assert joined.capture("guest-clock", 1, "guest:web01") is None
    assert joined.data("win-clock", 1, "guest:web01") is None
    assert joined.data("agent-interfaces", 1, "guest:web01") is not None
    assert joined.data("guest-clock", 1, "guest:db01") is not None


def test_a_zip_with_the_separators_of_windows() -> None:
    found = read_guest_file(
        "g.zip", zip_of(("vnetkb\\0\\win-counters", b"{}"), ("vnetkb\\manifest.kv", b"a=b"))
    )

    assert set(found.captures) == {("win-counters", 0), ("guest-manifest", 0)}


@pytest.mark.parametrize("keep", [b"|uptime 9", b"|uptime 9.0 1.0\n"], ids=["in-a-number", "after-a-line"])
def test_a_text_that_was_cut_is_named_and_its_last_number_is_unknown(tmp_path: Path, keep: bytes) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))
    file = tmp_path / "guest.txt"
    whole = b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n|uptime 5.0 1.0\n@@ 1/guest-clock\n"
    file.write_bytes(whole + keep)
    joined = with_guest(bundle, "web01", file)
    (notice,) = [one for one in joined.notices if one not in bundle.notices]

    assert joined.data("guest-clock", 0, "guest:web01") == b"uptime 5.0 1.0\n"
    left = b"uptime 9.0 1.0\n" if keep.endswith(b"\n") else None
    assert joined.data("guest-clock", 1, "guest:web01") == left
    assert (notice.member, "@@END" in notice.text) == ("guest.txt", True)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"notes.txt": b"x"}, "nothing that a guest's collector takes"),
        ({"../../0/guest-clock": b"x"}, r"\.\."),
    ],
    ids=["something-else", "outside"],
)
def test_another_tar_archive_is_refused_by_name(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))

    with pytest.raises(UnusableInput, match=said) as refused:
        with_guest(bundle, "web01", tarred(tmp_path, files))
    assert "guest.tgz" in str(refused.value)


def test_a_tar_archive_that_was_cut_is_refused_by_name(tmp_path: Path) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))
    file = tarred(tmp_path, {"0/guest-clock": bytes(range(256)) * 200})
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(UnusableInput, match=r"guest\.tgz"):
        with_guest(bundle, "web01", file)


@pytest.mark.parametrize(
    "make",
    [
        lambda text: text.encode(),
        lambda text: gzip.compress(text.encode()),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda _: zipped(b"system=linux\n"),
    ],
    ids=["text", "gzip", "crlf", "powershell-redirect", "utf8-mark", "zip"],
)
def test_every_form_gives_the_same(make: Callable[[str], bytes]) -> None:
    found = read_guest_file("guest", make(TEXT)).captures

    assert found["guest-clock", 0].strip() == b"uptime 5.0 1.0"
    assert found["guest-clock", 1].strip() == b"uptime 9.0 1.0"
    assert found["guest-manifest", 0].strip() == b"system=linux"


def test_names_of_the_earlier_layout_are_known_and_paths_are_only_names() -> None:
    found = read_guest_file("guest", TEXT.encode()).captures

    assert found["win-netstat-e", 0] == b"x\n"
    assert found["guest-os-release", 0] == b"ID=debian\n"
    assert not any("evil" in capture for capture, _ in found)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing of this kind",
        b"\x1f\x8b damaged",
        gzip.compress(TEXT.encode(), mtime=0)[:60],
        b"PK\x03\x04 damaged",
        zipped(b"x")[:80],
        b"VNETKB-CONTAINER 1 x\n@@END\n",
        b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n!!!\n@@END\n",
        gzip.compress(bytes(20 << 20), mtime=0),
    ],
    ids=["empty", "text", "gzip", "cut", "zip", "zip-cut", "nothing-in-it", "no-base64", "bomb"],
)
def test_what_is_none_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(UnusableInput, match="web01"):
        read_guest_file("web01.txt", data)


def test_what_a_wrong_file_begins_with_is_told_as_text() -> None:
    with pytest.raises(UnusableInput) as told:
        read_guest_file("web01.txt", b"hello\x07\xff\n")
    assert 'begins with "hello' in str(told.value)
    assert "b'" not in str(told.value)


def zip_of(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that come twice
        for name, content in entries:
            archive.writestr(name, content)
    return out.getvalue()


def nested(levels: int) -> bytes:
    data = TEXT.encode()
    for _ in range(levels):
        data = gzip.compress(zip_of(("x", data)))
    return data


def without_name(data: bytes) -> bytes:
    """Return a zip whose directory says that the name of its entry has no letters."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 28] + b"\0\0" + data[at + 30 :]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (zip_of(("0/guest-clock", b"1"), ("0/guest-clock", b"2")), "twice"),
        (b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n|1\n@@ 0/guest-clock\n|2\n@@END\n", "twice"),
        (nested(4), "archives in archives"),
        (zip_of(*((str(number), b"") for number in range(1001))), "over 1000 files"),
        (b"VNETKB-CONTAINER 1 x\n" + b"".join(b"@@ %d\n|\n" % n for n in range(1001)), "over 1000 files"),
        (zip_of(("0/guest-clock", bytes(17 << 20))), "bytes unpacked"),
        (zip_of(("0/guest-clock", bytes(17 << 20)), method=zipfile.ZIP_LZMA), "bytes unpacked"),
        (b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n|" + b"x" * (17 << 20), "over 16777216 bytes"),
        (without_name(zip_of(("0/guest-clock", b"1"))), "damaged zip"),
    ],
    ids=["zip-twice", "twice", "nested", "zip-many", "many", "zip-bomb", "lzma-bomb", "giant", "no-name"],
)
def test_what_attacks_the_reader_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(UnusableInput, match=found):
        read_guest_file("web01.txt", data)


def test_a_file_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))

    endless = tmp_path / "guest.tgz"
    endless.touch()
    os.truncate(endless, 1 << 40)
    with pytest.raises(UnusableInput, match="over 16777216 bytes"):
        with_guest(bundle, "web01", endless)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "0/../../x", "0/a\x1b[2Jb", "C:\\0\\x"])
def test_paths_lead_nowhere(name: str) -> None:
    found = read_guest_file("web01.zip", zip_of((name, b"x"), ("0/guest-clock", b"5 1"))).captures

    assert set(found) == {("guest-clock", 0)}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for text in (data, b"VNETKB-CONTAINER 1 x\n@@ 0/guest-clock\n" + data):
        message = ""
        try:
            read_guest_file("x", text)
        except UnusableInput as error:
            message = str(error)
        assert message == "" or message.isprintable()


def test_beside_a_bundle_it_takes_the_guests_place(tmp_path: Path) -> None:
    bundle = read_bundle(Host([Device("vnet3")]).write(tmp_path))
    file = tmp_path / "guest.txt"
    file.write_text(TEXT)
    joined = with_guest(bundle, "web01", file)

    assert joined.data("guest-clock", 1, "guest:web01") == b"uptime 9.0 1.0\n"
    assert joined.path("guest-clock", 1, "guest:web01") == "guest/web01/1/guest-clock"
    assert bundle.data("guest-clock", 1, "guest:web01") is None
    with pytest.raises(UnusableInput):
        with_guest(bundle, "web01", tmp_path / "nowhere")
