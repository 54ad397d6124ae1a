# SPDX-License-Identifier: Apache-2.0
"""Secrets: values of what is called like one are cut out, by the collector and by redact alike."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import QUICK, SCRIPT, rich_host
from collectors.test_guest_scripts import Guest
from vnetkb.privacy.secrets import cut_secrets

if TYPE_CHECKING:
    from pathlib import Path

TABLE = json.dumps(
    [
        ["api-token", "S1"],
        ["vnc_password", "S2"],
        ["rbac-password", 'S3"\\, x'],
        ["note", "password=S4 and, more"],
        ["auth", "Basic S5"],
        ["swanctl.psk", "S6"],
        ["private_key", "S7"],
        ["remote", "https://SC:S8@h.example/x, qemu+ssh://SD@h.example/"],
        ["header", "Bearer S9"],
        ["ssh-key", "SA"],
        ["my-credentials", "SB"],
    ],
    separators=(",", ":"),
)
KEPT_TABLE = json.dumps(
    [["key", "flow"], ["in_key", "5"], ["out_key", "flow"], ["keyspace", "k"], ["iface-id", "i"]],
    separators=(",", ":"),
)
NOTED = [
    "the secret is S1 and, more",
    'the "api key" is S2, "S3"',
    "password: S4, S5",
    "psk  S6\\nS7",
    "PASSWORD = S8",
    "jdoe:S9@ctl.example",
]
KEPT_NOTES = ["a token", "psk", "tokens left: 3", "passes is on", "[token]", "system@ovs-system: up"]
CASES = {
    "ovs-interface": (
        f'{{"data":[{TABLE}]}}\n',
        f'{{"data":[{KEPT_TABLE}],"headings":["x","password","y"]}}\n',
    ),
    "ovs-port": (
        (
            '{ "data" : [ [ "map" , [ [ "api_key" , "S1" ] , [ "vnc_password" ,  "S2 \\" S3"  ] ] ] ] }\n'
            '{ "data" : [ [ "map", [ [ "auth", "S4" ] ] ] ] }\n'
            '{"options": {"secret" : "S5", "token"  :  "S6 x", "note": "psk = S7"}}\n'
        ),
        '{ "data" : [ [ "map" , [ [ "key" , "flow" ] ] ] ] , "headings" : [ "token" , "password" , "y" ] }\n',
    ),
    "ovs-bridge": (
        "".join(json.dumps({"data": [[["map", [["comment", note]]]]]}) + "\n" for note in NOTED),
        "".join(json.dumps({"data": [[["map", [["comment", note]]]]]}) + "\n" for note in KEPT_NOTES),
    ),
    "ovs-dpif": (
        "    vnet3 5/6: (tap: psk=S1)\n",
        "system@ovs-system: hit:4 missed:2\n  br0:\n    token 5/6: (tap)\n    psk 7/8: (vxlan: key=flow)\n",
    ),
    "ovs-show": (
        (
            '  options: {psk="S1 a\\"b, c", remote_ip="192.0.2.1", password=S2, token="S3 x", ipsec_psk=S4}\n'
            '   error: "could not open, the secret is S5, S6"\n'
        ),
        (
            "   Port token\n   Interface psk\n"
            '   options: {key=flow, in_key="7", out_key=flow, remote_ip="192.0.2.1", bypass=on}\n'
        ),
    ),
    "proc-cmdline": (
        (
            "9\t-netdev user,id=n1,guestfwd=tcp:10.0.2.1:80-cmd:curl -H S1,,S2,guestfwd=tcp:1:2-cmd:S3\n"
            '9\t-netdev {"type":"user","guestfwd":[{"str":"tcp:1:2-cmd:a \\"b\\", S4"}],"id":"n"}\n'
            '9\t-netdev {"type":"stream","id":"n5","secret":"S5","addr":{"type":"inet","host":"192.0.2.1"}}\n'
            "9\t-device usb-net,x-password=S6,,S7,passwd=S8)S9,netdev=n\n"
            "9\t-netdev socket,id=n4,connect=SB:SA@192.0.2.4:99\n"
        ),
        "9\t-netdev tap,id=n,vhost=on,queues=4\n9\t-device virtio-net-pci,iommu-passthrough=on,rss=on\n",
    ),
    "kernel-log": (
        (
            "[ 1.0] vhost: secret=S1 password: S2 S3\n[ 1.0] Kernel command line: tun ipsec_psk=S4,S5 vhost\n"
            "[ 1.0] vhost Authorization: Basic S6\n[ 1.0] vhost password S7 S8\n[ 1.0] tun: Token is S9\n"
            '[ 1.0] vhost "api_key" = SA SB\n[ 1.0] vhost0: PSK  SC\n[ 1.0] vhost https://SA:SD@h.example/ ssh://SB@h.example\n'
            "[ 1.0] vhost SA:SE@h.example 'SB:SF@h' SC:(cut out)@h\n[ 1.0] vhost Authorization Basic S1\n"
            "[ 1.0] vhost: authorization Bearer S2\n[ 1.0] vhost: bearer S3\n"
        ),
        (
            "[ 1.0] vmtoken3: entered promiscuous mode vhost\n[ 1.0] vhost: DMA passthrough: on key: 4\n"
            "[ 1.0] vhost: bad token\n[ 1.0] vnet3@if2: tokens 4 system@ovs-system: a: b@c\n"
        ),
    ),
    "ovs-log": (
        "2026-11-22T10:00:00.000Z|1|dpif|WARN|x: psk=S1 (Invalid)\n",
        (
            "2026-11-22T10:00:00.000Z|1|dpif|WARN|x: in_key=5 (Invalid)\n"
            "2026-11-22T10:00:00.000Z|1|dpif|WARN|system@ovs-system: failed to put\n"
        ),
    ),
}


def by_shell(capture: str, text: str) -> str:
    """Return a capture as the collector's own filter leaves it."""
    script = SCRIPT.read_text(encoding="utf-8")
    names = (
        "without_keys",
        "without_named_keys",
        "secret_words",
        "cut_secrets",
        "cut_logged",
        "chosen_arguments",
    )
    bodies = [
        re.search(rf"^{name}\(\) \{{(?:[^\n]* \}}|\n.*?\n\}})$", script, re.MULTILINE | re.DOTALL)
        for name in names
    ]
    call = {
        "ovs-dpif": "without_named_keys",
        "proc-cmdline": "chosen_arguments",
        "kernel-log": "cut_logged",
        "ovs-log": "cut_logged",
    }
    if capture == "proc-cmdline":
        words = [line.split("\t")[1].split(" ", 1) for line in text.splitlines()]
        listed = ["qemu-system-x86_64", *(each for pair in words for each in pair)]
        text = "==> /proc/9/cmdline <==\n" + "".join(f"{word}\0" for word in listed)
    program = "\n".join(body[0] for body in bodies if body) + f"\n{call.get(capture, 'without_keys')}\n"
    done = subprocess.run(
        ["sh", "-c", program], input=text, capture_output=True, encoding="latin-1", check=True
    )
    return done.stdout


@pytest.mark.parametrize("capture", CASES)
def test_the_value_of_whatever_is_called_like_a_secret_is_cut_out(capture: str) -> None:
    secret, kept = CASES[capture]
    cut = cut_secrets(capture, secret)

    assert not re.search(r"\bS[0-9A-F]\b", cut)
    assert cut.count("\n") == secret.count("\n")
    assert cut_secrets(capture, cut) == cut
    assert cut_secrets(capture, kept) == kept
    if capture in {"ovs-port", "ovs-bridge"}:
        for line in (cut + kept).splitlines():
            json.loads(line)
    if capture == "ovs-interface":
        assert [row[0] for row in json.loads(cut)["data"][0]] == [row[0] for row in json.loads(TABLE)]


@pytest.mark.parametrize("capture", CASES)
def test_the_collector_cuts_the_same_out(capture: str) -> None:
    secret, kept = CASES[capture]
    head = "9\tqemu-system-x86_64\n" if capture == "proc-cmdline" else ""

    assert by_shell(capture, secret) == head + cut_secrets(capture, secret)
    if capture != "proc-cmdline":
        assert by_shell(capture, kept) == kept


SAID = (
    "usb 1-1: password NONE1 of a stick",
    "sshd[9]: token NONE2",
    "vnet3: password TAKEN3 was refused",
    "vhost: api key TAKEN4, Authorization: Bearer TAKEN5",
    "openvswitch: https://jdoe:TAKEN6@ctl.example/ and jdoe:TAKEN7@ctl.example",
    "virtio_net virtio0 eth0: secret TAKEN8, Link is up",
    "page allocation failure: psk TAKEN9",
)


def test_which_lines_of_the_hosts_log_reach_the_bundle_and_what_is_cut_there(tmp_path: Path) -> None:
    host = rich_host(tmp_path)
    host.command("dmesg", "\n".join(f"echo '[ 1.0] {line}'" for line in SAID))

    log = host.run(["dash"], *QUICK, "--snapshots", "1").bundle.text("kernel-log")

    assert [line.split(" ", 2)[2].partition(":")[0] for line in log.splitlines()] == [
        "vnet3",
        "vhost",
        "openvswitch",
        "virtio_net virtio0 eth0",
        "page allocation failure",
    ]
    assert not re.search("NONE[0-9]|TAKEN[0-9]", log)
    assert log.count("(cut out)") >= 5


def test_of_a_guests_log_no_line_is_taken_that_speaks_of_a_secret(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    lines = [f"[ 1.0] virtio_net {line}" for line in SAID]
    guest.command(
        "dmesg",
        "\n".join(f"echo '{line}'" for line in [*lines, "virtio1: secretary@x Link is up", "virtio2: up"]),
    )

    taken = guest.run(["dash"], "--output", "-", "--quiet").stdout

    assert "|virtio2: up\n" in taken
    assert not re.search("NONE[0-9]|TAKEN[0-9]", taken)


def test_the_windows_scripts_take_no_log_and_no_free_text() -> None:
    folder = SCRIPT.parents[1] / "guest-windows"
    text = "\n".join(path.read_text(encoding="ascii") for path in folder.glob("vnetkb-guest.*"))

    assert not re.search(r"(?i)get-(win)?event|wevtutil|eventlog|get-content|unattend|dir env:", text)
    assert set(re.findall(r"(?im)^call :part 0/[a-z-]+ \"([a-z]+)", text)) <= {
        "chcp",
        "getmac",
        "netsh",
        "reg",
    }


def test_other_captures_are_left_as_they_are() -> None:
    assert cut_secrets("os-release", "ID=secret: x\n") == "ID=secret: x\n"
