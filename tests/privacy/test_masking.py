# SPDX-License-Identifier: Apache-2.0
"""Masking: nothing of the corpus is left in any form, structure stays, both implementations agree."""

from __future__ import annotations

import io
import ipaddress
import json
import re
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundle.maker import Maker
from collectors.fake_host import QUICK, SCRIPT, TREE, add_interface, rich_host
from privacy import corpus
from vnetkb.bundle import read_bundle
from vnetkb.bundle.archive import read_archive
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.bundle.manifest import parse_manifest
from vnetkb.cli import main
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.kernels import identify
from vnetkb.kb.load import load_kb
from vnetkb.parsers.proc_version import parse as parse_version
from vnetkb.privacy import Masked, mask_bundle
from vnetkb.privacy.captures import Context, harvest, mask
from vnetkb.privacy.pseudonyms import Pseudonyms, coded
from vnetkb.privacy.redact import load_kept
from vnetkb.privacy.scan import scan
from vnetkb.privacy.secrets import cut_secrets
from vnetkb.privacy.text import Masker
from vnetkb.report import render_json

if TYPE_CHECKING:
    from pathlib import Path

CAPTURES = {
    row["id"]: row
    for file in sorted((TREE / "kb" / "captures").glob("*.yaml"))
    for row in yaml.safe_load(file.read_bytes())["captures"]
}
AT_MOST_NUMBERS = {"nothing", "process-id", "user-id", "boot-id"}
RELEASE = "5.10.0-60.18.0.50.oe2203"


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
        found += [
            f"{name}: {form}" for form in corpus.every_form() if form in whole or form.casefold() in folded
        ]
    return found


def test_every_capture_has_its_masking_thought_of() -> None:
    need = {name for name, row in CAPTURES.items() if not AT_MOST_NUMBERS.issuperset(row["reveals"])}
    missing = sorted(need - set(corpus.CORPUS) - set(corpus.GUEST_CORPUS))

    assert missing == [], "write a text with known identifiers for these into corpus.py"


def known_names() -> Context:
    context = Context(Masker(Pseudonyms(load_kept())))
    for capture in ("sysfs-net", "virsh-list", "ip-link", "tc-filter", "proc-cmdline", "ovs-open-vswitch"):
        harvest(f"host/0/{capture}", corpus.CORPUS[capture], context)
        mask(f"host/0/{capture}", corpus.CORPUS[capture], context)
    context.masker.forget()
    return context


@pytest.mark.parametrize("capture", sorted(CAPTURES))
def test_what_is_known_is_masked_or_found_in_any_capture_whatever_it_is_said_to_reveal(capture: str) -> None:
    context, member = known_names(), f"host/0/{capture}"
    text = {**corpus.CORPUS, **corpus.GUEST_CORPUS}.get(capture, "1 2 3\n")

    for one, forms in (
        (corpus.VM, {corpus.VM, corpus.VM.upper(), *coded(corpus.VM)}),
        (corpus.TAP, {corpus.TAP, corpus.TAP.upper(), corpus.TAP[::-1]}),
        (corpus.OTHER_MAC, {corpus.OTHER_MAC, corpus.OTHER_MAC.upper(), corpus.bare(corpus.OTHER_MAC)}),
        (corpus.V4, {corpus.V4, ".".join(reversed(corpus.V4.split("."))) + ".in-addr.arpa"}),
        (corpus.UUID, {corpus.UUID, corpus.bare(corpus.UUID), corpus.UUID.upper()}),
    ):
        for form in forms:
            masked = mask(member, f"{text}x {form} y\n", context)
            left = form.casefold() in masked.casefold()
            assert not left or scan({member: masked}, context.pseudonyms, ""), (one, form)


def test_the_corpus_holds_what_it_should() -> None:
    whole = "\n".join([*corpus.CORPUS.values(), *corpus.GUEST_CORPUS.values()])

    for one in (*corpus.ALL_NAMES, *corpus.MACS, *corpus.IPV4S, *corpus.UUIDS, corpus.V6, corpus.LINK_LOCAL):
        assert one in whole


def test_nothing_of_the_corpus_is_left(make: Maker) -> None:
    outcome, texts = masked_corpus(make)

    assert search(texts) == []
    assert outcome.leaks == ()
    assert search({outcome.name: ""}) == []


def test_a_masked_bundle_is_a_bundle(make: Maker) -> None:
    outcome, _ = masked_corpus(make)
    bundle = read_bundle(make.write(outcome.data, f"{outcome.name}.tar.gz"))

    assert [notice for notice in bundle.notices if "guest-file" not in (notice.member or "")] == []
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
    assert (
        f"ff:fe{tail[:2]}:{tail[2:].lstrip('0')}"
        in text["tc-filter"] + text["kernel-log"] + text["ip-link-text"]
    )
    assert "(vhost-4711)" in text["task-stat"]
    assert "Name:\tCPU 0/KVM" in text["proc-status"]
    assert f"match {hex_of(name[corpus.V4])}/ffffffff at 12" in text["tc-filter"]


def test_subnets_stay_subnets(make: Maker) -> None:
    outcome, _ = masked_corpus(make)
    name = {original: masked for _, masked, original in rows(outcome.map)}
    same = [
        f"{int(part):08b}"
        for address in (corpus.V4, corpus.V4_NEIGHBOUR)
        for part in name[address].split(".")
    ]

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
    row |= {
        key: value
        for key, value in make.capture("host/0/tool-versions", changed["host/0/tool-versions"]).items()
        if key in {"bytes", "sha256"}
    }
    outcome = mask_bundle(read_archive(make.bundle(document, changed), DEFAULT_LIMITS))

    assert [(leak.member, leak.line) for leak in outcome.leaks if what in leak.what] == [
        ("host/0/tool-versions", 2)
    ]
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
cp "$work/map" "$work/meta" "$3"
cleanup
"""


def mask_by_shell(
    awk: str,
    tmp_path: Path,
    members: dict[str, bytes],
    host: str = f"{corpus.HOST}.{corpus.DOMAIN}",
    release: str = RELEASE,
    *,
    version: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the collector's own masking over a folder of captures, with one kind of awk."""
    script = tmp_path / "harness"
    source = SCRIPT.read_text(encoding="utf-8").rpartition('\nmain "$@"')[0]
    script.write_text(source + "\n" + HARNESS, encoding="utf-8")
    commands = {
        "uname": f"case $1 in -n) echo {host} ;; -r) echo {release} ;; -v) echo '{version}' ;; esac",
        "awk": f'exec {awk} "$@"',
    }
    for folder in ("in", "out", "bin", "done"):
        (tmp_path / folder).mkdir()
    for name, body in commands.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    for name, data in members.items():
        place = tmp_path / "in" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return subprocess.run(
        ["dash", str(script), str(tmp_path / "out"), str(tmp_path / "in"), str(tmp_path / "done")],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "VNETKB_ROOT_PREFIX": str(tmp_path / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("awk", ["mawk", "gawk", "original-awk", "busybox awk"])
def test_the_collector_masks_the_same(make: Maker, tmp_path: Path, awk: str) -> None:
    if shutil.which(awk.split(maxsplit=1)[0]) is None:
        pytest.skip(f"NOT TESTED: {awk} is not installed")
    _, texts = masked_corpus(make)

    done = mask_by_shell(awk, tmp_path, files())

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


OWN_RELEASES = [
    "5.10.0-60.18.0.50.wonka.example.x86_64",
    "6.1.0-wonka+",
    "6.1.192-web1-amd64",
    "5.10.0-60.18.0.50.oe2203",
    "6.1.0~Wonka.Example",
]


@pytest.mark.parametrize("awk", ["mawk", "gawk", "original-awk", "busybox awk"])
@pytest.mark.parametrize("release", OWN_RELEASES)
def test_a_kernel_that_names_its_owner_is_masked_and_stays_a_kernel(
    make: Maker, tmp_path: Path, release: str, awk: str
) -> None:
    if shutil.which(awk.split(maxsplit=1)[0]) is None:
        pytest.skip(f"NOT TESTED: {awk} is not installed")
    version = "#1 SMP otto@build.wonka.example wonka.example Debian 6.1.192-1 (2026-11-02)"
    own = f"Linux version {release} (otto@build.wonka.example) (gcc 12) {version}\n"
    guest = "Linux version 5.10.0-60.18.0.50.oe2203.wonka.example (x@y) (gcc 12) #1 SMP\n"
    members = make.files() | {
        "host/0/proc-version": own.encode(),
        "host/0/ethtool-i": (
            f"@ eth0\ndriver: veth\nversion: {release}\nfirmware-version: wonka.example 9.1\n".encode()
        ),
        "host/0/kernel-log": f"[ 1.0] {own}[ 1.1] vhost: BOOT_IMAGE=/vmlinuz-{release}\n".encode(),
        "guest/web01/0/guest-proc-version": guest.encode(),
    }
    document = make.manifest(members) | {
        "kernel": {"release": release, "version": version, "machine": "x86_64"}
    }
    document["host"]["name"] = "web1.wonka.example"
    for row in document["captures"]:
        if (row["path"] or "").startswith("guest/"):
            row["scope"], row["snapshot"] = "guest:web01", 0

    outcome = mask_bundle(read_archive(make.bundle(document, members), DEFAULT_LIMITS))
    captures = {name: data for name, data in members.items() if "/" in name}
    done = mask_by_shell(awk, tmp_path, captures, document["host"]["name"], release, version=version)

    assert outcome.leaks == ()
    assert done.returncode == 0, done.stderr
    texts = {name.partition("/")[2]: text for name, text in unpacked(outcome).items()}
    assert not re.search("(?i)wonka|otto|web1", "".join(texts.values()))
    result = tmp_path / "done" / "result"
    for name in captures:
        (place,) = result.glob(name.replace("web01", "*"))
        assert place.read_text("latin-1") == texts[place.relative_to(result).as_posix()]
    path = make.folder / "masked.tar.gz"
    path.write_bytes(outcome.data)
    shown = read_bundle(path).manifest
    meta = dict(line.split("\037", 1) for line in (tmp_path / "done" / "meta").read_text().splitlines())
    assert (meta["release"], meta["kernel_version"]) == (shown.kernel_release, shown.kernel_version)
    assert (shown.kernel_release == release) is ("oe2203" in release)
    assert identify(shown.kernel_release, shown.kernel_version) == (
        shown.kernel_release, "debian", (6, 1, 192)
    )  # fmt: skip
    assert identify(shown.kernel_release).numbers[:2] == identify(release).numbers[:2]  # type: ignore[union-attr]
    assert parse_version(texts["host/0/proc-version"].encode()).release == shown.kernel_release


FLOWS = (TREE / "tests" / "privacy" / "recorded" / "ovs-dump-flows").read_text(encoding="ascii")
SWITCH_LOG = (TREE / "tests" / "privacy" / "recorded" / "ovs-log").read_text(encoding="ascii")
PLAIN_LOG = """\
[    1.0] tun: Universal TUN/TAP device driver, 1.6
[    2.0] vhost-4711 invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0
[    3.0] watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [vhost-4711:4720]
[    4.0] Memory cgroup out of memory: Killed process 4711 (qemu-system-x86) total-vm:1kB, UID:107
[    5.0] nf_conntrack: nf_conntrack: table full, dropping packet
[    6.0] openvswitch: vnet3: dropped over-mtu packet: 1515 > 1514
[    7.0] Dead loop on virtual device vnet3, fix it urgently!
[    8.0] rcu: INFO: rcu_sched self-detected stall on CPU
[    9.0] TCP: request_sock_TCP: Possible SYN flooding on port 443. vhost
[   10.0] hw csum failure, dev vnet3: page allocation failure: order:0
"""


def both(make: Maker, tmp_path: Path, members: dict[str, str]) -> tuple[Masked, dict[str, str]]:
    """Mask members by both implementations, which agree and complain of nothing."""
    raw = {name: text.encode("latin-1") for name, text in members.items()}
    document = make.manifest(make.files() | raw)
    document["host"]["name"] = f"{corpus.HOST}.{corpus.DOMAIN}"
    outcome = mask_bundle(read_archive(make.bundle(document, make.files() | raw), DEFAULT_LIMITS))
    texts = {name.partition("/")[2]: text for name, text in unpacked(outcome).items()}
    done = mask_by_shell("mawk", tmp_path, make.files() | raw)

    assert done.returncode == 0, done.stderr
    assert outcome.leaks == ()
    for name in members:
        assert (tmp_path / "done" / "result" / name).read_text(encoding="latin-1") == texts[name]
    return outcome, texts


def test_addresses_that_flows_hold_as_numbers_are_masked_as_elsewhere(make: Maker, tmp_path: Path) -> None:
    outcome, texts = both(make, tmp_path, {"host/0/ovs-dump-flows": FLOWS})
    name = {original: masked for _, masked, original in rows(outcome.map)}
    masked = texts["host/0/ovs-dump-flows"]

    assert not re.search(
        "163e7788|16[.:]3e[.:]77|a00000[567]|20010db8|2001:db8|0x1234->|5054.?00|12.?abcd|77.6f", masked
    )
    responder, low = name["fa:16:3e:77:88:99"], name["0a:16:3e:77:88:98"]
    assert f"mod_dl_src:{responder},load:0x2->" in masked
    assert f"load:0x{responder.replace(':', '')}->NXM_NX_ARP_SHA[]" in masked
    assert f"load:0x{responder.replace(':', '')}->NXM_NX_ND_SLL[]" in masked
    assert f"load:0x{low.replace(':', '').lstrip('0')}->NXM_NX_ARP_SHA[]" in masked
    assert f"set_field:{responder}->eth_src" in masked
    assert f"arp_tpa={name['10.0.0.5']} " in masked
    assert f"load:0x{hex_of(name['10.0.0.5'])}->NXM_OF_ARP_SPA[]" in masked
    assert f"reg0=0x{hex_of(name['10.0.0.5'])}," in masked
    groups = ipaddress.IPv6Address(name["2001:db8:77:1::1234"]).exploded.replace(":", "")
    assert f"nd_target={name['2001:db8:77:1::1234']} actions=" in masked
    assert f"load:0x{groups[16:].lstrip('0') or '0'}->NXM_NX_ND_TARGET[0..63]" in masked
    assert f"load:0x{groups[:16]}->NXM_NX_ND_TARGET[64..127]" in masked
    assert f"userdata=00.00.00.0c.00.00.00.00.{responder.replace(':', '.')}." in masked
    assert "note:00.00.00.00.00." + responder.replace(":", ".") in masked
    assert "cookie=0x7d4b2a1c9f3e5510" in masked
    assert masked.count("\n") == FLOWS.count("\n")


def test_a_flow_that_still_holds_a_mac_address_is_found(make: Maker, tmp_path: Path) -> None:
    kept = Pseudonyms(load_kept())
    flow = " cookie=0x0 actions=load:0xa163e778899->NXM_NX_ARP_SHA[]"

    assert [leak.what for leak in scan({"host/0/ovs-dump-flows": flow}, kept, "")] == [
        "what looks like a MAC address"
    ]
    assert make.folder == tmp_path


def test_devices_that_are_gone_are_masked_in_the_logs(make: Maker, tmp_path: Path) -> None:
    outcome, texts = both(make, tmp_path, {"host/0/ovs-log": SWITCH_LOG})
    masked = texts["host/0/ovs-log"]

    assert not re.search("wonka", masked)
    assert "could not create netdev maskedif" in masked
    assert "bridge br-int: added interface br-int on port 65534" in masked
    assert {original for kind, _, original in rows(outcome.map) if kind == "interface"} >= {
        "wonka-gone1",
        "vxwonka",
    }


def test_plain_words_of_the_log_are_no_devices(make: Maker, tmp_path: Path) -> None:
    _, texts = both(make, tmp_path, {"host/0/kernel-log": PLAIN_LOG})

    assert texts["host/0/kernel-log"] == PLAIN_LOG


def test_the_collector_holds_the_lists_of_the_knowledge_base() -> None:
    lists = yaml.safe_load((TREE / "kb" / "masking.yaml").read_bytes())
    script = SCRIPT.read_text(encoding="utf-8")
    words = re.search(r"mask_words\(\) \{\n  cat <<'END'\n(.*?)\nEND\n", script, re.DOTALL)
    assert words is not None

    assert words[1].split() == lists["words"].split()
    for name, key in {
        "INTERFACES": "plain_interfaces",
        "THREADS": "plain_threads",
        "VERBATIM": "verbatim",
        "KEPT_KEYS": "kept_keys",
        "OS_RELEASE": "os_release_keys",
        "LOG_WORDS": "log_words",
        "VERSION_WORDS": "version_words",
    }.items():
        parts = re.findall(rf"^MASK_{name}=(?:\$MASK_{name})?'(.*)'$", script, re.MULTILINE)
        assert "".join(parts) == (lists[key] if isinstance(lists[key], str) else " ".join(lists[key]))


RECORDED = sorted(
    path for path in (TREE / "tests").glob("**/*.tar.gz") if not read_bundle(path).manifest.masked
)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_the_collector_masks_what_was_recorded_as_redact_does(path: Path, tmp_path: Path) -> None:
    archive = read_archive(path, DEFAULT_LIMITS)
    document = json.loads(archive.members["manifest.json"].data)
    outcome = mask_bundle(archive)
    members = {
        name: cut_secrets(name.rpartition("/")[2], member.data.decode("latin-1")).encode("latin-1")
        for name, member in archive.members.items()
        if "/" in name
    }

    done = mask_by_shell("mawk", tmp_path, members, document["host"]["name"], document["kernel"]["release"])

    assert done.returncode == 0, done.stderr
    result = tmp_path / "done" / "result"
    for name, text in unpacked(outcome).items():
        place = name.partition("/")[2]
        if "/" in place:
            shown = (result / place).read_bytes().decode("latin-1")
            assert shown.rstrip("\n") == text.rstrip("\n"), place


def told(path: Path, back: dict[str, str]) -> dict[str, Any]:
    """Return what analyze says of a bundle with the pseudonyms turned back, but for its name and sum."""
    knowledge = load_kb()
    text = render_json(diagnose(build(read_bundle(path), knowledge), knowledge, every=True))
    for pseudonym in sorted(back, key=len, reverse=True):
        text = re.sub(
            rf"\b{re.escape(pseudonym)}\b", json.dumps(back[pseudonym])[1:-1].replace("\\", "\\\\"), text
        )
    document: dict[str, Any] = json.loads(text)
    del document["bundle"]
    return document


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_the_diagnosis_of_a_masked_bundle_is_that_of_the_clear_one(path: Path, tmp_path: Path) -> None:
    outcome = mask_bundle(read_archive(path, DEFAULT_LIMITS))
    masked = tmp_path / f"{outcome.name}.tar.gz"
    masked.write_bytes(outcome.data)
    back = {pseudonym: original for _, pseudonym, original in rows(outcome.map)}

    assert outcome.leaks == ()
    assert read_bundle(masked).notices == read_bundle(path).notices
    assert told(masked, back) == told(path, {})


def test_redact_writes_the_bundle_and_its_map_beside(make: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    target = make.folder / "masked.tar.gz"

    assert main(["redact", str(make.bundle(manifest(make), files())), "-o", str(target)]) == 0

    out = capsys.readouterr().out
    name_map = make.folder / "masked.map"
    assert re.search(r"^masked +\d+  mac-address$", out, re.MULTILINE)
    assert name_map.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_mode & 0o777 == 0o600
    assert corpus.VM in name_map.read_text(encoding="latin-1")
    assert read_bundle(target).manifest.masked
    assert main(["redact", str(target)]) == 2
    assert "masked already" in capsys.readouterr().err


def test_redact_writes_nothing_where_something_is_left(
    make: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    members = make.files() | {"host/0/os-release": b"ID=secret: tr0ub4dor\n"}
    target = make.folder / "masked.tar.gz"

    assert main(["redact", str(make.bundle(make.manifest(members), members)), "-o", str(target)]) == 1

    error = capsys.readouterr().err
    assert "host/0/os-release line 1 still holds what looks like a secret" in error
    assert "tr0ub4dor" not in error
    assert not target.exists()
    assert not list(make.folder.glob("*.map"))


def test_masking_on_a_made_up_host(tmp_path: Path, shell: list[str]) -> None:
    host = rich_host(tmp_path)
    add_interface(host, corpus.TAP, tap=True)
    outcome = host.run(shell, *QUICK, "--mask", "--device", corpus.TAP)

    bundle = outcome.bundle
    name_map = bundle.path.with_name(bundle.path.name.removesuffix(".tar.gz") + ".map")
    back = {original: masked for _, masked, original in rows(name_map.read_text(encoding="latin-1"))}
    whole = b"\n".join([bundle.path.name.encode(), *bundle.members.values()])
    for original in ("web01", corpus.TAP, "52:54:00:aa:bb:01", "11111111-2222", "openvpn"):
        assert original.encode() not in whole
    assert name_map.stat().st_mode & 0o777 == 0o600
    assert bundle.manifest["masked"] is True
    assert bundle.manifest["options"]["devices"] == [back[corpus.TAP]]
    assert bundle.manifest["masking"]["masked_vm"] >= 1
    assert sorted(path.name for path in host.out.iterdir()) == sorted([bundle.path.name, name_map.name])
    assert read_bundle(bundle.path).notices == ()
    assert "explained in" in outcome.stderr


def test_what_guests_collectors_wrote_is_masked_with_the_hosts_own(tmp_path: Path, shell: list[str]) -> None:
    host = rich_host(tmp_path)
    linux, windows = tmp_path / "linux.txt", tmp_path / "windows.txt"
    log = f"[ 1.0] virtio_net: {corpus.VM} {corpus.GUEST_MAC} {corpus.V4}"
    linux.write_text(
        f"VNETKB-CONTAINER 1 {corpus.HOST}\n@@ 0/guest-kernel-log\n|{log}\n@@ manifest.kv\n"
        f"|collector=vnetkb-guest\n|system=linux\n|host={corpus.VM}\n@@END\n",
        encoding="ascii",
    )
    adapters = corpus.GUEST_CORPUS["win-adapters"].replace("\n", "\n|")
    windows.write_text(
        f"VNETKB-CONTAINER 1 {corpus.HOST}\n@@ 0/win-adapters\n|{adapters}\n@@ manifest.kv\n"
        f"|collector=vnetkb-guest.ps1\n|system=windows\n|host={corpus.TENANT}\n@@END\n",
        encoding="ascii",
    )

    bundle = host.run(
        shell, *QUICK, "--snapshots", "1", "--mask",
        "--guest-file", f"web01={linux}", "--guest-file", f"web02={windows}",
    ).bundle  # fmt: skip

    whole = b"\n".join([*(name.encode() for name in bundle.members), *bundle.members.values()]).decode(
        "latin-1"
    )
    assert "virtio_net: maskedhost" in whole or "virtio_net: maskedvm" in whole
    for one in ("web01", "web02", corpus.VM, corpus.HOST, corpus.TENANT, "Produktion", corpus.UUID.upper()):
        assert one not in whole
    for mac in (corpus.GUEST_MAC, corpus.OTHER_MAC):
        assert not [form for form in corpus.forms_of_mac(mac) if form in whole]
    assert corpus.V4 not in whole


def test_where_masking_is_not_complete_nothing_is_written(tmp_path: Path, shell: list[str]) -> None:
    host = rich_host(tmp_path)
    host.file("proc/pressure/cpu", "some password=tr0ub4dor\n")

    outcome = host.run(shell, *QUICK, "--mask")

    assert outcome.returncode == 1
    assert "masking is not complete: host/0/proc-pressure:1: what looks like a secret" in outcome.stderr
    assert outcome.stderr.endswith("nothing was written\n")
    assert "tr0ub4dor" not in outcome.stderr
    assert list(host.out.iterdir()) == []


GIANTS = ("a" * 300_000, "1.2.3.4-" * 20_000, "aa:" * 100_000, ":" * 200_000, "f." * 100_000)


@pytest.mark.parametrize("text", GIANTS, ids=("word", "ipv4", "hex", "colons", "dots"))
def test_one_line_giants_cost_no_more_than_their_length(text: str) -> None:
    pseudonyms = Pseudonyms(load_kept())
    masked = Masker(pseudonyms).text(text)

    assert "1.2.3.4" not in masked
    assert scan({"x": masked}, pseudonyms, "") == []


GIANT_LINES = {
    "mail": ("kernel-log", "[ 1.0] " + "a" * 3_000_000),
    "mails": ("kernel-log", "[ 1.0] " + "a@" + "a-" * 1_000_000),
    "pieces": ("kernel-log", "[ 1.0] " + "a-b_" * 100_000),
    "peers": ("ovs-show", "ssl:" + "a" * 1_000_000 + " tcp:" * 100_000),
    "device": ("kernel-log", "[ 1.0] " + "a-b_" * 100_000 + "c: up"),
    "thread": ("trace", " " * 200_000 + "-1" * 200_000),
    "quotes": ("ip-link", '["' + '\\"' * 500_000),
    "altnames": ("ip-link", '"altnames":[' * 200_000),
    "link": ("ip-link-text", "7: " + "@" * 500_000),
    "listed": ("virsh-list", " - " + " " * 500_000 + "x"),
    "attributes": ("virsh-dumpxml", "<interface " + "a" * 500_000),
    "ends": ("virsh-dumpxml", "<interface " + ">" * 500_000),
    "halves": ("ovs-dump-flows", "load:0xfa163e778899aabb->NXM_NX_IPV6_SRC[0..63]," * 20_000),
}


@pytest.mark.parametrize("case", GIANT_LINES)
def test_one_line_giants_of_a_capture_cost_no_more_than_their_length(case: str) -> None:
    capture, text = GIANT_LINES[case]  # a cost by the square of the length would take hours
    context = Context(Masker(Pseudonyms(load_kept())))

    harvest(f"host/0/{capture}", text, context)
    masked = mask(f"host/0/{capture}", text, context)

    assert len(masked) > 100
    assert "fa163e77" not in masked


@pytest.mark.parametrize("awk", ["mawk", "gawk", "original-awk", "busybox awk"])
def test_giants_in_the_collector(tmp_path: Path, awk: str) -> None:
    if shutil.which(awk.split(maxsplit=1)[0]) is None:
        pytest.skip(f"NOT TESTED: {awk} is not installed")
    links = [
        {"ifname": f"tap{n:06}-wk", "address": f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}"} for n in range(900)
    ]
    members = {
        "host/0/kernel-log": f"[ 1.0] {'vnet3 wonka7x ' * 20_000}\n[ 2.0] tap000007-wk: up\n".encode(),
        "host/0/ip-link": (json.dumps(links) + "\n").encode(),
    }

    done = mask_by_shell(awk, tmp_path, members)

    assert done.returncode == 0, done.stderr
    texts = {name: (tmp_path / "done" / "result" / name).read_text(encoding="ascii") for name in members}
    assert texts["host/0/kernel-log"].startswith(
        "(a line of 280007 characters was left out)\n[ 2.0] maskedif"
    )
    assert not re.search("wonka|tap0|52:54:00", "".join(texts.values()))
    assert len(json.loads(texts["host/0/ip-link"])) == len(links)


def test_of_mail_addresses_in_a_row_none_is_left() -> None:
    context = Context(Masker(Pseudonyms(load_kept())))

    masked = mask("host/0/kernel-log", "[ 1.0] jane@acme.test_joe@acme.test,x+y@z.acme.test @ a@b", context)

    assert masked == "[ 1.0] maskeduser@maskeddomainmaskeduser@maskeddomain,maskeduser@maskeddomain @ a@b"


TABLE = {
    "headings": ["name", "external_ids", "other_config"],
    "data": [
        [
            "vnet3",
            ["map", [["vm-name", "wonkavm7"], ["owner", "flow"]]],
            ["map", [["wonka-path", "/run/wonka"]]],
        ]
    ],
}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_a_table_is_masked_however_its_json_is_laid_out(
    make: Maker, tmp_path: Path, separators: tuple[str, str]
) -> None:
    text = " " + json.dumps(TABLE, separators=separators) + "\n"

    _, texts = both(make, tmp_path, {"host/0/ovs-interface": text})

    table = json.loads(texts["host/0/ovs-interface"])
    assert "wonka" not in texts["host/0/ovs-interface"]
    assert table["headings"] == TABLE["headings"]
    assert table["data"][0][1][1][1][1] == "flow"


def test_what_pedit_and_u32_write_over_addresses_is_masked(make: Maker, tmp_path: Path) -> None:
    text = corpus.CORPUS["tc-filter"]

    outcome, texts = both(make, tmp_path, {"host/0/tc-filter": text})

    name = {original: masked for _, masked, original in rows(outcome.map)}
    masked = texts["host/0/tc-filter"]
    assert f"at ipv4+12: val {hex_of(name[corpus.V4_PEDIT])} mask 00000000" in masked
    assert f"at 16: val {hex_of(name[corpus.V4_PEDIT])} mask 00000000" in masked
    assert "at eth+4: val 00000000 mask ffff0000" in masked
    assert "at eth+8: val 00000000 mask 00000000" in masked
    assert "at ipv4+8: val 3f000000 mask 00ffffff" in masked
    assert "match 00000000/ffffffff at 12" in masked


def test_hosts_that_the_switch_connects_to_by_name_are_masked(make: Maker, tmp_path: Path) -> None:
    members = {f"host/0/{name}": corpus.CORPUS[name] for name in ("ovs-log", "ovs-show")}

    outcome, texts = both(make, tmp_path, members)

    name = {original: masked for kind, masked, original in rows(outcome.map) if kind == "domain"}
    assert f'Controller "ssl:{name["ctl1.wonka.example"]}:6653"' in texts["host/0/ovs-show"]
    assert f"br-int<->ssl:{name['ctl1.wonka.example']}:6653: connecting" in texts["host/0/ovs-log"]
    assert f'Manager "ssl:{name["mgr-8"]}:6640"' in texts["host/0/ovs-show"]
    assert 'Manager "ptcp:6640:127.0.0.1"' in texts["host/0/ovs-show"]
    assert f'key=flow, remote_ip="{name["gw47.wonka.example"]}"' in texts["host/0/ovs-show"]
