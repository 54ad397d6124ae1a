# SPDX-License-Identifier: Apache-2.0
"""Masking: nothing of the corpus is left in any form, structure stays, both implementations agree."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.maker import Maker
from collectors.fake_host import SCRIPT, SHELLS, TREE
from privacy import corpus
from vnetkb.bundle import read_bundle
from vnetkb.bundle.archive import read_archive
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.bundle.manifest import parse_manifest
from vnetkb.privacy import Masked, mask_bundle

CAPTURES = {
    row["id"]: row
    for file in sorted((TREE / "kb" / "captures").glob("*.yaml"))
    for row in yaml.safe_load(file.read_bytes())["captures"]
}
AT_MOST_NUMBERS = {"nothing", "process-id", "user-id", "boot-id"}
RELEASE = "5.10.0-60.18.0.50.oe2203"
FOLDERS = {"proc-net-dev": ("host/0", "series")}


def files() -> dict[str, bytes]:
    """Return the corpus as members of a bundle."""
    found: dict[str, bytes] = {}
    for capture, text in corpus.CORPUS.items():
        folder = "series" if capture == "trace" else "host/0"
        found[f"{folder}/{capture}"] = text.encode("latin-1")
    for capture, text in corpus.GUEST_CORPUS.items():
        found[f"guest/{corpus.VM}/0/{capture}"] = text.encode("latin-1")
    return found


def manifest(make: Maker) -> dict[str, Any]:
    """Return the manifest of the corpus."""
    document = make.manifest(files())
    document["host"]["name"] = f"{corpus.HOST}.{corpus.DOMAIN}"
    document["kernel"]["release"] = RELEASE
    document["options"]["devices"] = [corpus.TAP]
    document["wait_for_drop"]["devices"] = [corpus.TAP]
    document["notes"] = [f"removed /home/{corpus.USER}/x of {corpus.VM}"]
    for row in document["captures"]:
        if (row["path"] or "").startswith("guest/"):
            row["scope"], row["snapshot"] = f"guest:{corpus.VM}", 0
        row["argv"] = ["virsh", f"domiflist {corpus.UUID}", corpus.TAP]
    return document


def masked_corpus(make: Maker) -> tuple[Masked, dict[str, str]]:
    path = make.bundle(manifest(make), files())
    outcome = mask_bundle(read_archive(path, DEFAULT_LIMITS))
    return outcome, unpacked(outcome)


def unpacked(outcome: Masked) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(outcome.data)) as archive:
        members = {info.name: archive.extractfile(info) for info in archive}
        return {name: file.read().decode("latin-1") for name, file in members.items() if file is not None}


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def search(texts: dict[str, str]) -> list[str]:
    """Look for every form of every identifier, exactly and without regard to case."""
    found = []
    for name, text in texts.items():
        whole = f"{name}\n{text}"
        folded = whole.casefold()
        found += [f"{name}: {form}" for form in corpus.every_form() if form in whole or form.casefold() in folded]
    return found


def test_every_capture_has_its_masking_thought_of() -> None:
    need = {name for name, row in CAPTURES.items() if not AT_MOST_NUMBERS.issuperset(row["reveals"])}
    missing = sorted(need - set(corpus.CORPUS) - set(corpus.GUEST_CORPUS))

    assert missing == [], "write a text with known identifiers for these into corpus.py"


def test_the_corpus_holds_what_it_should() -> None:
    whole = "\n".join([*corpus.CORPUS.values(), *corpus.GUEST_CORPUS.values()])

    for one in (*corpus.NAMES, *corpus.MACS, *corpus.IPV4S, *corpus.UUIDS, corpus.V6, corpus.LINK_LOCAL):
        assert one in whole


def test_nothing_of_the_corpus_is_left(make: Maker) -> None:
    outcome, texts = masked_corpus(make)

    assert search(texts) == []
    assert outcome.leaks == ()
    assert search({outcome.name: ""}) == []


def test_a_masked_bundle_is_a_bundle(make: Maker) -> None:
    outcome, _ = masked_corpus(make)
    bundle = read_bundle(make.write(outcome.data, f"{outcome.name}.tar.gz"))

    assert bundle.notices == ()
    assert bundle.manifest.masked is True
    assert bundle.manifest.kernel_release == RELEASE
    assert bundle.manifest.host == "maskedhost1"


def test_equal_stays_equal_and_joins_still_join(make: Maker) -> None:
    outcome, texts = masked_corpus(make)
    name = {original: masked for _, masked, original in rows(outcome.map)}
    text = {path.rpartition("/")[2]: content for path, content in texts.items()}
    guest, tap = name[corpus.GUEST_MAC], name[corpus.TAP_MAC]
    tail = guest.replace(":", "")[6:]

    assert guest[3:] == tap[3:], "libvirt's tap and its guest NIC differ in the first octet only"
    assert f"iff:\t{name[corpus.TAP]}\n" in text["tun-fdinfo"]
    assert f"ifname={name[corpus.TAP]}," in text["proc-cmdline"]
    assert f"guest={name[corpus.VM]}," in text["proc-cmdline"]
    assert f"Domain: '{name[corpus.VM]}'" in text["virsh-domstats"]
    assert f'"0000{name[corpus.NIC_MAC].replace(":", "")}"' in text["ovs-bridge"]
    assert f"ff:fe{tail[:2]}:{tail[2:].lstrip('0')}" in text["tc-filter"] + text["kernel-log"] + text["ip-link-text"]
    assert "(vhost-4711)" in text["task-stat"]
    assert "Name:\tCPU 0/KVM" in text["proc-status"]
    assert f"match {hex_of(name[corpus.V4])}/ffffffff at 12" in text["tc-filter"]


def test_subnets_stay_subnets(make: Maker) -> None:
    outcome, _ = masked_corpus(make)
    name = {original: masked for _, masked, original in rows(outcome.map)}
    same = [f"{int(part):08b}" for address in (corpus.V4, corpus.V4_NEIGHBOUR) for part in name[address].split(".")]

    assert "".join(same[:4])[:31] == "".join(same[4:])[:31]
    assert "".join(same[:4]) != "".join(same[4:])
    assert name[corpus.V4].split(".")[0] != name[corpus.V4_PUBLIC].split(".")[0]


def hex_of(address: str) -> str:
    return "".join(f"{int(part):02x}" for part in address.split("."))


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def test_the_map_is_not_in_the_bundle(make: Maker) -> None:
    outcome, texts = masked_corpus(make)

    assert corpus.VM in outcome.map
    assert not any(".map" in name for name in texts)


def test_counts_are_in_the_report_and_in_the_manifest(make: Maker) -> None:
    outcome, texts = masked_corpus(make)
    (document,) = (json.loads(text) for name, text in texts.items() if name.endswith("/manifest.json"))

    assert outcome.counts["mac-address"] >= 4
    assert outcome.counts["vm"] >= 3
    assert document["masking"]["counts"] == outcome.counts
    assert parse_manifest(json.dumps(document).encode()).masked


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("password=tr0ub4dor", "secret"),
        ("-----BEGIN PRIVATE KEY-----", "secret"),
        ("zz52:54:00:3c:9d:11", "knows"),
    ],
)
def test_what_masking_cannot_hide_is_found_and_told(make: Maker, text: str, what: str) -> None:
    changed = files() | {"host/0/tool-versions": f"@ ip\n{text}\n".encode()}
    document = manifest(make)
    (row,) = (row for row in document["captures"] if row["id"] == "tool-versions")
    row |= {key: value for key, value in make.capture("host/0/tool-versions", changed["host/0/tool-versions"]).items() if key in {"bytes", "sha256"}}
    outcome = mask_bundle(read_archive(make.bundle(document, changed), DEFAULT_LIMITS))

    assert [(leak.member, leak.line) for leak in outcome.leaks if what in leak.what] == [("host/0/tool-versions", 2)]
    assert not any(text in str(leak) for leak in outcome.leaks)


HARNESS = """
init
parse_options --mask --quiet --output "$1"
set_environment
find_tools
make_work
describe_host
cp -R "$2/." "$stage"
trap - EXIT
mask_all
cp -R "$stage" "$3/result"
cp "$work/map" "$3/map"
cleanup
"""


def mask_by_shell(shell: list[str], tmp_path: Path, members: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    """Run the collector's own masking over a folder of captures."""
    script = tmp_path / "harness"
    source = SCRIPT.read_text(encoding="utf-8").rstrip().removesuffix('main "$@"')
    script.write_text(source.rstrip("; \n") .removesuffix("exit $?") + "\n" + HARNESS, encoding="utf-8")
    for folder in ("in", "out", "bin", "done"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
        (tmp_path / folder).mkdir()
    uname = tmp_path / "bin" / "uname"
    uname.write_text(
        f"#!/bin/sh\ncase $1 in -n) echo {corpus.HOST}.{corpus.DOMAIN} ;; -r) echo {RELEASE} ;; *) echo x ;; esac\n",
        encoding="utf-8",
    )
    uname.chmod(0o755)
    for name, data in members.items():
        place = tmp_path / "in" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return subprocess.run(
        [*shell, str(script), str(tmp_path / "out"), str(tmp_path / "in"), str(tmp_path / "done")],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "VNETKB_ROOT_PREFIX": str(tmp_path / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("awk", ["mawk", "gawk", "original-awk", "busybox"])
def test_the_collector_masks_the_same(make: Maker, tmp_path: Path, awk: str) -> None:
    program = shutil.which(awk)
    if program is None:
        pytest.skip(f"NOT TESTED: {awk} is not installed")
    _, texts = masked_corpus(make)
    (tmp_path / "bin").mkdir(exist_ok=True)

    done = mask_with(tmp_path, program, files())

    assert done.returncode == 0, done.stderr
    result = tmp_path / "done" / "result"
    by_shell = {
        path.relative_to(result).as_posix(): path.read_bytes().decode("latin-1")
        for path in sorted(result.rglob("*"))
        if path.is_file() and path.name != "collector.log"
    }
    by_python = {name.partition("/")[2]: text for name, text in texts.items()}
    assert search(by_shell) == []
    assert set(by_shell) == {name for name in by_python if name not in {"manifest.json", "collector.log"}}
    for name, text in by_shell.items():
        assert text == by_python[name], name


def mask_with(tmp_path: Path, program: str, members: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    shell = SHELLS["dash"]
    original = Path.mkdir

    del original
    folder = tmp_path / "bin"
    wrapper = f'#!/bin/sh\nexec {program} {"awk " if program.endswith("busybox") else ""}"$@"\n'
    done: subprocess.CompletedProcess[str]
    source = tmp_path / "awk"
    source.write_text(wrapper, encoding="utf-8")
    source.chmod(0o755)
    del folder
    done = mask_by_shell_with(shell, tmp_path, members, source)
    return done


def mask_by_shell_with(
    shell: list[str], tmp_path: Path, members: dict[str, bytes], awk: Path
) -> subprocess.CompletedProcess[str]:
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    shutil.copy(awk, tools / "awk")
    (tools / "awk").chmod(0o755)
    return mask_by_shell([*["env", f"PATH={tools}:{tmp_path / 'bin'}:/usr/bin:/bin"], *shell], tmp_path, members)


def test_the_collector_holds_the_lists_of_the_knowledge_base() -> None:
    lists = yaml.safe_load((TREE / "kb" / "masking.yaml").read_bytes())
    script = SCRIPT.read_text(encoding="utf-8")
    words = re.search(r"mask_words\(\) \{\n  cat <<'END'\n(.*?)\nEND\n", script, re.DOTALL)
    assert words is not None

    assert words[1].split() == lists["words"].split()
    for name, key in (("VERBATIM", "verbatim"), ("KEPT_KEYS", "kept_keys"), ("OS_RELEASE", "os_release_keys")):
        assert f"MASK_{name}='{' '.join(lists[key])}'\n" in script
    for name, key in (("INTERFACES", "plain_interfaces"), ("THREADS", "plain_threads")):
        assert f"MASK_{name}='{lists[key]}'\n" in script
