# SPDX-License-Identifier: Apache-2.0
"""Every fault of a bundle is named, with its member, what was found and what was expected."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from vnetkb.bundle.validate import Validation, validate
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
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
    assert faults(found) == []
    assert faults(found, "warning") == ["host/0/sysfs-net", "collector.log", "manifest.json", "manifest.json"]


def test_a_cut_archive_is_a_fault_and_what_is_left_is_judged(make: Maker) -> None:
    archive = make.tar(make.members())
    found = validate(make.write(archive[: archive.index(b"ID=debian")], "cut.tar"))
    assert faults(found)[0] is None
    assert "host/0/os-release" in faults(found)


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
