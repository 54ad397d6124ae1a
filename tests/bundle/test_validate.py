# SPDX-License-Identifier: Apache-2.0
"""Every fault of a bundle is named, with its member, what was found and what was expected."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.bundle.validate import Validation, validate
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.maker import Maker


def faults(validation: Validation, level: str = "error") -> list[str | None]:
    return [fault.member for fault in validation.faults if fault.level == level]


def test_a_whole_bundle_has_no_fault_and_names_what_it_lacks(make: Maker) -> None:
    found = validate(make.bundle(), expected=["sysfs-net", "tun-fdinfo"])
    assert found.faults == ()
    assert [(absent.id, absent.snapshot, absent.member) for absent in found.absent] == [
        ("tc-qdisc", 1, "host/1/tc-qdisc"),
        ("tun-fdinfo", None, "host/tun-fdinfo"),
    ]
    assert found.absent[0].reason == "the host has no such tool (tc not found)"


def test_a_recorded_bundle_has_no_fault(recorded: Path) -> None:
    found = validate(recorded)
    assert found.faults == ()
    assert {absent.id for absent in found.absent} >= {"virsh-list", "ovs-interface"}


def test_damage_is_found_wherever_it_is(make: Maker) -> None:
    files = make.files()
    manifest = make.manifest(files)
    files["host/0/sysfs-net"] += b"x"
    files["host/1/sysfs-net"] = files["host/1/sysfs-net"].replace(b":9", b":8")
    del files["host/0/os-release"]
    files["host/0/stranger"] = b""
    found = validate(make.bundle(manifest, files))
    assert faults(found) == ["host/0/sysfs-net", "host/1/sysfs-net", "host/0/os-release", "host/0/stranger"]
    assert found.faults[0].found == "46 bytes"
    assert found.faults[1].found.startswith("sha256 ")
    assert {absent.id for absent in found.absent} == {"sysfs-net", "os-release", "tc-qdisc"}


def summed(make: Maker) -> dict[str, bytes]:
    """Return the members of a bundle whose log ends with sums, as collectors write it since schema 1.1."""
    members = make.members(make.manifest() | {"schema_version": "1.1"})
    names = {name: f"{make.folder_name}/{name}" for name in ("manifest.json", "REVIEW.txt", "collector.log")}
    members[names["REVIEW.txt"]] = b"what this holds\n"
    members[names["collector.log"]] += b"".join(
        f"sha256 {hashlib.sha256(members[member]).hexdigest()}  {name}\n".encode()
        for name, member in names.items()
    )
    return members


def without_sum_of(name: bytes) -> Callable[[bytes], bytes]:
    return lambda log: b"".join(line for line in log.splitlines(keepends=True) if b"  " + name not in line)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda log: log[:4], "no sums at its end"),
        (lambda _: b"", "no sums at its end"),
        (without_sum_of(b"manifest.json"), "no sum of manifest.json at its end"),
        (without_sum_of(b"REVIEW.txt"), "no sum of REVIEW.txt at its end"),
        (without_sum_of(b"collector.log"), "no sum of collector.log at its end"),
        (lambda log: log + b"a line more\n", "text after the sums that end it"),
        (lambda log: log + b"\n", "text after the sums that end it"),
        (lambda log: log + log[4:], "sums twice"),
        (lambda log: log[4:] + log, "sums twice"),
        (lambda log: b"x" + log, "sha256 "),
    ],
)
def test_what_is_done_to_the_sums_is_found(make: Maker, change: Callable[[bytes], bytes], found: str) -> None:
    members = summed(make)
    assert validate(make.write(gzip.compress(make.tar(members)))).faults == ()
    log = f"{make.folder_name}/collector.log"

    outcome = validate(make.write(gzip.compress(make.tar(members | {log: change(members[log])}))))

    assert faults(outcome)[:1] == ["collector.log"]
    assert any(fault.found.startswith(found) for fault in outcome.faults)
    assert outcome.notes == ()


@pytest.mark.parametrize("name", ["manifest.json", "REVIEW.txt", "collector.log"])
def test_a_changed_byte_of_what_has_no_sum_in_the_manifest_is_found(make: Maker, name: str) -> None:
    members = summed(make)
    member = f"{make.folder_name}/{name}"
    members[member] = members[member].replace(b"o", b"0", 1)

    assert name in faults(validate(make.write(gzip.compress(make.tar(members)))))


def test_an_old_bundle_is_told_to_have_no_sums(make: Maker) -> None:
    found = validate(make.bundle())

    assert found.faults == ()
    assert found.notes == ("schema 1.0 knows no sums of manifest.json, collector.log: changes are not seen",)


def evil(make: Maker) -> bytes:
    return make.tar({"../../evil": b"x"})


@pytest.mark.parametrize(
    "after",
    [
        lambda _: b"x",
        lambda _: b"\0",
        lambda _: b"\0" * 10 + b"PK\x03\x04junk",
        lambda make: gzip.compress(evil(make)),
        lambda _: gzip.compress(b""),
    ],
)
def test_what_follows_the_compressed_data_is_found(make: Maker, after: Callable[[Maker], bytes]) -> None:
    whole = gzip.compress(make.tar(summed(make)))
    found = validate(make.write(whole + after(make)))

    assert [(fault.member, fault.found) for fault in found.faults] == [
        (None, "data follows the end of the archive")
    ]
    assert any(
        "data follows the end of the archive" in each.text for each in read_bundle(found_at(make)).notices
    )


def found_at(make: Maker) -> Path:
    return make.folder / f"{make.folder_name}.tar.gz"


@pytest.mark.parametrize("after", [b"x", b"\0" * 20_000, b"\0" * 20_000 + b"x"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_what_follows_the_archive_is_found(make: Maker, after: bytes, pack: Callable[[bytes], bytes]) -> None:
    whole = make.tar(summed(make)) + after
    found = validate(make.write(pack(whole)))

    assert [fault.found for fault in found.faults] == ["data follows the end of the archive"]


def test_a_second_archive_behind_the_first_is_found(make: Maker) -> None:
    whole = make.tar(summed(make)) + evil(make)

    assert [fault.found for fault in validate(make.write(gzip.compress(whole))).faults] == [
        "data follows the end of the archive"
    ]


def test_schema_faults_name_their_place(make: Maker) -> None:
    manifest = make.manifest()
    manifest["captures"][2]["bytes"] = "many"
    del manifest["boot_id"]
    found = validate(make.bundle(manifest))
    assert set(faults(found)) == {"manifest.json", "manifest.json captures[2].bytes"}
    assert any("boot_id" in fault.found for fault in found.faults)
    # what the captures are worth cannot be said where the manifest is not understood
    assert found.absent == ()


def test_a_contradiction_in_the_manifest_is_a_fault(make: Maker) -> None:
    manifest = make.manifest()
    manifest["captures"].append(dict(manifest["captures"][0]))
    assert faults(validate(make.bundle(manifest))) == ["manifest.json captures[5]"]


def test_less_than_it_could_be_is_a_warning(make: Maker) -> None:
    files = make.files()
    manifest = make.manifest(files)
    manifest["captures"][0]["truncated"] = True
    manifest["snapshots"] = manifest["snapshots"][:1]
    manifest["schema_version"] = "1.9"
    members = make.members(manifest, files)
    del members[f"{make.folder_name}/collector.log"]
    found = validate(make.write(gzip.compress(make.tar(members))))
    assert faults(found) == ["collector.log"]
    assert faults(found, "warning") == ["host/0/sysfs-net", "manifest.json", "manifest.json"]


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_that_is_cut_off_is_refused_as_everywhere(make: Maker, *, compressed: bool) -> None:
    archive = make.tar(make.members())
    cut = gzip.compress(archive)[:-5] if compressed else archive[: archive.index(b"ID=debian")]
    with pytest.raises(UnusableInput, match=r"is cut off.*, after \d files, expected the whole file"):
        validate(make.write(cut))


def test_any_change_of_any_byte_of_a_capture_is_noticed(make: Maker) -> None:
    archive = bytearray(make.tar(make.members()))
    at = archive.index(b"ID=debian")
    for offset in range(len(b"ID=debian\n")):
        changed = bytearray(archive)
        changed[at + offset] ^= 1
        assert faults(validate(make.write(bytes(changed), "changed.tar"))) == ["host/0/os-release"]


@pytest.mark.parametrize("manifest", [b"", b"[]", b'{"schema_version": NaN}'])
def test_what_is_no_manifest_at_all_is_not_validated(make: Maker, manifest: bytes) -> None:
    with pytest.raises(UnusableInput, match=r"manifest\.json"):
        validate(make.bundle(manifest))


def test_a_newer_major_schema_is_not_validated(make: Maker) -> None:
    with pytest.raises(UnusableInput, match="newer vnetkb"):
        validate(make.bundle(make.manifest() | {"schema_version": "2.0"}))


def test_faults_can_be_printed(make: Maker) -> None:
    manifest = make.manifest() | {"root": "\x1b[2J" * 100}
    manifest["captures"][0]["id"] = "\u202e"
    for fault in validate(make.bundle(manifest)).faults:
        assert (fault.member or "").isprintable()
        assert fault.found.isprintable()
        assert fault.expected.isprintable()
        assert len(fault.found) <= 200
