# SPDX-License-Identifier: Apache-2.0
"""`ip -s -s -d link show` as text, for iproute2 before 4.14, which cannot print JSON.

Columns of counters are read by their heading: their number and order differ between versions of iproute2
(`print_link_stats64` in ip/ipaddress.c).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ip_link import Link
from vnetkb.parsers.text import integer, lines

_HEAD = re.compile(r"([0-9]{1,10}): ([^ ]+?)(?:@([^ ]+))?: <([^>]*)>(.*)")
_HEADING = re.compile(r"\s*(RX|TX)(?: errors)?:\s+(.*?)\s*")
# headings of both old and new versions by the name of the value in JSON
_COUNTERS = {
    "RX": {
        "bytes": "bytes",
        "packets": "packets",
        "errors": "errors",
        "dropped": "dropped",
        "overrun": "over_errors",
        "missed": "missed_errors",
        "mcast": "multicast",
        "length": "length_errors",
        "crc": "crc_errors",
        "frame": "frame_errors",
        "fifo": "fifo_errors",
        "nohandler": "nohandler",
        "otherhost": "otherhost_dropped",
        "otherhost_dropped": "otherhost_dropped",
        "compressed": "compressed",
    },
    "TX": {
        "bytes": "bytes",
        "packets": "packets",
        "errors": "errors",
        "dropped": "dropped",
        "carrier": "carrier_errors",
        "collsns": "collisions",
        "aborted": "aborted_errors",
        "fifo": "fifo_errors",
        "window": "window_errors",
        "heartbeat": "heartbeat_errors",
        "heartbt": "heartbeat_errors",
        "transns": "carrier_changes",
        "compressed": "compressed",
    },
}
_HEAD_KEYS = frozenset(("mtu", "qdisc", "master", "state", "mode", "group", "qlen", "vrf"))
_KINDS = frozenset(
    [
        "tun",
        "veth",
        "bridge",
        "openvswitch",
        "bond",
        "vlan",
        "vxlan",
        "geneve",
        "gre",
        "gretap",
        "ip6gre",
        "ip6gretap",
        "ipip",
        "sit",
        "macvlan",
        "macvtap",
        "ipvlan",
        "ipvtap",
        "dummy",
        "ifb",
        "vrf",
        "team",
        "wireguard",
        "netkit",
        "nlmon",
        "bareudp",
        "ip6tnl",
        "can",
        "vcan",
        "vti",
        "vti6",
        "xfrm",
        "gtp",
        "rmnet",
        "hsr",
    ]
)
_PORT = re.compile(r"(bridge|bond|team|openvswitch)_slave\b")
_QUEUES = re.compile(r"\bnum(tx|rx)queues ([0-9]{1,10})\b")


def parse(data: bytes) -> list[Link]:
    """Return the links in the order of the text, as :func:`vnetkb.parsers.ip_link.parse` does.

    `Link.info` holds the words after the kind in pairs, as text.

    Raises:
        ParseError: The text does not begin with a link, or the numbers under a heading do not match it.
    """
    blocks: list[tuple[re.Match[str], list[tuple[int, str]]]] = []
    for number, line in lines(data):
        head = _HEAD.fullmatch(line)
        if head is not None:
            blocks.append((head, []))
        elif not line.strip():
            continue
        elif not blocks or not line.startswith(" "):
            raise ParseError(line, "'INDEX: NAME: <FLAGS> …' or an indented line below it", number)
        else:
            blocks[-1][1].append((number, line))
    return [_link(head, details) for head, details in blocks]


def _link(head: re.Match[str], details: list[tuple[int, str]]) -> Link:
    words = head[5].split()
    pairs = {key: value for key, value in pairwise(words) if key in _HEAD_KEYS}
    counters: dict[str, dict[str, int]] = {"RX": {}, "TX": {}}
    found: dict[str, Any] = {}
    heading: re.Match[str] | None = None
    for number, line in details:
        if heading is not None:
            counters[heading[1]].update(_row(heading, line, number))
            heading = None
            continue
        heading = _HEADING.fullmatch(line)
        if heading is None:
            _detail(line, found)
    return Link(
        ifindex=int(head[1]),
        ifname=head[2],
        flags=tuple(flag for flag in head[4].split(",") if flag),
        mtu=integer(pairs["mtu"], "mtu") if "mtu" in pairs else None,
        qdisc=pairs.get("qdisc"),
        operstate=pairs.get("state"),
        master=pairs.get("master"),
        txqlen=integer(pairs["qlen"], "qlen") if "qlen" in pairs else None,
        peer=head[3],
        rx=counters["RX"],
        tx=counters["TX"],
        **found,
    )


def _row(heading: re.Match[str], line: str, number: int) -> dict[str, int]:
    names, values = heading[2].split(), line.split()
    if len(names) != len(values):
        raise ParseError(f"{len(values)} numbers", f"{len(names)}, as in the heading", number)
    known = _COUNTERS[heading[1]]
    return {
        known[name]: integer(value, name, number)
        for name, value in zip(names, values, strict=True)
        if name in known
    }


def _detail(line: str, found: dict[str, Any]) -> None:
    words = line.split()
    if words[0].startswith("link/"):
        found["address"] = words[1] if len(words) > 1 else None
    elif words[0] == "alias":
        found["alias"] = line.strip()[len("alias ") :]
    elif words[0] in _KINDS:
        found["kind"] = words[0]
        found["info"] = dict(zip(words[1::2], words[2::2], strict=False))
    elif (port := _PORT.match(words[0])) is not None:
        found["slave_kind"] = port[1]
    elif words[0].startswith("prog/xdp"):
        found["xdp"] = {"text": line.strip()}
    for way, count in _QUEUES.findall(line):
        found[f"num_{way}_queues"] = int(count)
