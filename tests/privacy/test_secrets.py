# SPDX-License-Identifier: Apache-2.0
"""Secrets: values of what is called like one are cut out, by the collector and by redact alike."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from collectors.fake_host import SCRIPT
from vnetkb.privacy.secrets import cut_secrets

TABLE = json.dumps(
    [
        ["api-token", "S1"],
        ["vnc_password", "S2"],
        ["rbac-password", 'S3"\\, x'],
        ["note", "password=S4 and, more"],
        ["auth", "Basic S5"],
        ["swanctl.psk", "S6"],
        ["private_key", "S7"],
        ["remote", "https://jd:S8@h.example/x"],
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
CASES = {
    "ovs-interface": (
        f'{{"data":[{TABLE}]}}\n',
        f'{{"data":[{KEPT_TABLE}],"headings":["x","password","y"]}}\n',
    ),
    "ovs-show": (
        '   options: {psk="S1 a\\"b, c", remote_ip="192.0.2.1", password=S2, token="S3 x", ipsec_psk=S4}\n',
        '   options: {key=flow, in_key="7", out_key=flow, remote_ip="192.0.2.1", bypass=on}\n',
    ),
    "proc-cmdline": (
        (
            "9\t-netdev user,id=n1,guestfwd=tcp:10.0.2.1:80-cmd:curl -H S1,,S2,guestfwd=tcp:1:2-cmd:S3\n"
            '9\t-netdev {"type":"user","guestfwd":[{"str":"tcp:1:2-cmd:a \\"b\\", S4"}],"id":"n"}\n'
            '9\t-netdev {"type":"stream","id":"n5","secret":"S5","addr":{"type":"inet","host":"192.0.2.1"}}\n'
            "9\t-device usb-net,x-password=S6,,S7,passwd=S8)S9,netdev=n\n"
            "9\t-netdev socket,id=n4,connect=user:SA@192.0.2.4:99\n"
        ),
        "9\t-netdev tap,id=n,vhost=on,queues=4\n9\t-device virtio-net-pci,iommu-passthrough=on,rss=on\n",
    ),
    "kernel-log": (
        (
            "[ 1.0] vhost: secret=S1 password: S2 S3\n[ 1.0] Kernel command line: tun ipsec_psk=S4,S5 vhost\n"
            "[ 1.0] vhost Authorization: Basic S6\n"
        ),
        "[ 1.0] vmtoken3: entered promiscuous mode vhost\n[ 1.0] vhost: DMA passthrough: on key: 4\n",
    ),
    "ovs-log": (
        "2026-11-22T10:00:00.000Z|1|dpif|WARN|x: psk=S1 (Invalid)\n",
        "2026-11-22T10:00:00.000Z|1|dpif|WARN|x: in_key=5 (Invalid)\n",
    ),
}


def by_shell(capture: str, text: str) -> str:
    """Return a capture as the collector's own filter leaves it."""
    script = SCRIPT.read_text(encoding="utf-8")
    names = ("without_keys", "cut_secrets", "cut_logged", "chosen_arguments")
    bodies = [
        re.search(rf"^{name}\(\) \{{(?:[^\n]* \}}|\n.*?\n\}})$", script, re.MULTILINE | re.DOTALL)
        for name in names
    ]
    call = {"proc-cmdline": "chosen_arguments", "kernel-log": "cut_logged", "ovs-log": "cut_logged"}
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
    if capture == "ovs-interface":
        assert [row[0] for row in json.loads(cut)["data"][0]] == [row[0] for row in json.loads(TABLE)]


@pytest.mark.parametrize("capture", CASES)
def test_the_collector_cuts_the_same_out(capture: str) -> None:
    secret, kept = CASES[capture]
    head = "9\tqemu-system-x86_64\n" if capture == "proc-cmdline" else ""

    assert by_shell(capture, secret) == head + cut_secrets(capture, secret)
    if capture != "proc-cmdline":
        assert by_shell(capture, kept) == kept


def test_other_captures_are_left_as_they_are() -> None:
    assert cut_secrets("os-release", "ID=secret: x\n") == "ID=secret: x\n"
