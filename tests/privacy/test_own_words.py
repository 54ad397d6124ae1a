# SPDX-License-Identifier: Apache-2.0
"""Words that vnetkb itself writes are no finding where a machine is called so; what a host says is."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle.maker import Maker
from collectors.fake_host import QUICK, SHELLS, add_process, rich_host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.archive import read_archive
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.privacy import Masked, mask_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return a maker of bundles."""
    return Maker(tmp_path)


def masked(make: Maker, machine: str, **properties: object) -> Masked:
    listed = f" Id   Name   State\n----\n 4   {machine}   running\n"
    files = make.files() | {
        "host/0/virsh-list": listed.encode(),
        "host/0/sysctl": b"net/core/somaxconn:4096\n",
        f"guest/{machine}/0/proc-stat": b"cpu 1 2 3\n",
    }
    document = make.manifest(files) | properties
    for row in document["captures"]:
        if (row["path"] or "").startswith("guest/"):
            row["scope"], row["snapshot"] = f"guest:{machine}", 0
    missing = dict(document["captures"][0], id="proc-ns", path=None, bytes=None, sha256=None)
    missing["absent"] = {"reason": "tool-missing", "detail": f"no tool for {machine}"}
    document["captures"].append(missing)
    log = f"collector reads {machine}\nsha256 {'0' * 64}  manifest.json\n".encode()
    return mask_bundle(read_archive(make.bundle(document, files | {"collector.log": log}), DEFAULT_LIMITS))


@pytest.mark.parametrize(
    "machine",
    ["collector", "manifest", "review", "tool", "missing", "sysctl", "argv", "scope", "x86", "x86_64"],
)
def test_a_machine_called_like_a_word_of_the_bundle_refuses_nothing(make: Maker, machine: str) -> None:
    outcome = masked(make, machine)
    path = make.folder / "masked.tar.gz"
    path.write_bytes(outcome.data)
    bundle = read_bundle(path)

    assert outcome.leaks == ()
    assert bundle.notices == ()
    assert {row.absent.reason for row in bundle.manifest.captures if row.absent} == {"tool-missing"}
    assert "sysctl" in {row.id for row in bundle.manifest.captures}


@pytest.mark.parametrize("name", ["corp", "Corp", "pots"])
def test_a_name_that_is_a_common_word_backwards_spoils_nothing(tmp_path: Path, name: str) -> None:
    host = rich_host(tmp_path)
    machine = ("/usr/bin/qemu-system-x86_64", "-name", f"guest={name}")
    add_process(host, 5000, "qemu-system-x86", machine, threads={5000: "qemu-system-x86"})
    clear = host.run(SHELLS["dash"], *QUICK).bundle
    made = host.run(SHELLS["dash"], *QUICK, "--mask").bundle
    redacted = tmp_path / "redacted.tar.gz"
    redacted.write_bytes(mask_bundle(read_archive(clear.path, DEFAULT_LIMITS)).data)

    ids = {row["id"] for row in clear.manifest["captures"]}
    for path in (made.path, redacted):
        bundle = read_bundle(path)
        assert bundle.notices == ()
        assert {row.id for row in bundle.manifest.captures} == ids
        assert b"/proc/4711/" in (bundle.data("task-stat", 0) or b"")


@pytest.mark.parametrize("name", ["wonka\u202eß", "wonka字-7", "wonka\ud800x", "wonka\udcff"])
def test_a_name_that_is_no_ascii_is_masked_as_any(make: Maker, name: str) -> None:
    outcome = masked(make, "web01", host={"name": f"{name}.wönka.example"}, notes=[f"on {name}"])
    path = make.folder / "masked.tar.gz"
    path.write_bytes(outcome.data)

    assert outcome.leaks == ()
    assert read_bundle(path).notices == ()
    with tarfile.open(path) as archive:
        for member in archive:
            held = archive.extractfile(member)
            assert held is None or b"wonka" not in held.read()


def test_a_name_in_a_property_that_is_none_of_the_manifests_own_is_found(make: Maker) -> None:
    outcome = masked(make, "wonka-prod", **{"wonka-prod": 1})

    assert [(leak.member, leak.what) for leak in outcome.leaks] == [
        ("manifest.json", "vm that the map knows")
    ]


def test_a_machines_name_leaves_the_paths_of_its_captures(make: Maker) -> None:
    outcome = masked(make, "wonka-prod")
    with tarfile.open(fileobj=io.BytesIO(outcome.data)) as archive:
        names = archive.getnames()

    assert outcome.leaks == ()
    assert [name for name in names if "/guest/maskedvm" in name]
    assert not [name for name in names if "wonka" in name]
