# SPDX-License-Identifier: Apache-2.0
"""`ip -s -s -d -j link show`: what iproute2's ip/ipaddress.c (`print_linkinfo`) prints as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import integer_of, mapping_of, objects, optional_integer, optional_text, text_of

_LINK = "a link"
_KNOWN = frozenset(
    [
        "ifindex",
        "ifname",
        "flags",
        "mtu",
        "qdisc",
        "operstate",
        "master",
        "txqlen",
        "linkinfo",
        "address",
        "link",
        "xdp",
        "num_tx_queues",
        "num_rx_queues",
        "stats64",
        "stats",
        "ifalias",
    ]
)


@dataclass(frozen=True, slots=True)
class Link:
    """One network device as netlink describes it; None where iproute2 does not print it.

    Attributes:
        ifindex: Interface index.
        ifname: Device name.
        flags: Names of the flags, as in ``("UP", "LOWER_UP")``.
        mtu: Bytes.
        qdisc: Kind of the root qdisc.
        operstate: UP, DOWN, UNKNOWN, LOWERLAYERDOWN and so on.
        master: Bridge, bond or ``ovs-system`` that the device is a port of.
        txqlen: Transmit queue length in packets. iproute2 does not print a length of 0, so None may mean 0.
        kind: ``tun``, ``veth``, ``bridge``, ``openvswitch`` and so on; None for a plain driver.
        info: What the kind adds; its keys differ between the JSON and the text form.
        slave_kind: What the device is as a port: ``bridge``, ``bond``, ``openvswitch``.
        address: Link-layer address.
        alias: What an administrator wrote down for the device.
        peer: Name of the lower device or veth peer, the part after ``@``.
        xdp: The attached XDP program as iproute2 describes it.
        num_tx_queues: Queues allocated, 256 for every multi-queue tap; not those in use.
        rx: Receive counters by their JSON name (``packets``, ``dropped``, ``missed_errors`` …).
        tx: Transmit counters by their JSON name (``packets``, ``dropped``, ``carrier_errors`` …).
        extra: Every other key.
    """

    ifindex: int
    ifname: str
    flags: tuple[str, ...] = ()
    mtu: int | None = None
    qdisc: str | None = None
    operstate: str | None = None
    master: str | None = None
    txqlen: int | None = None
    kind: str | None = None
    info: dict[str, Any] = field(default_factory=dict)
    slave_kind: str | None = None
    address: str | None = None
    alias: str | None = None
    peer: str | None = None
    xdp: dict[str, Any] | None = None
    num_tx_queues: int | None = None
    num_rx_queues: int | None = None
    rx: dict[str, int] = field(default_factory=dict)
    tx: dict[str, int] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def parse(data: bytes) -> list[Link]:
    """Return the links in the order of the text.

    Raises:
        ParseError: The text is not an array of links, or a value is of the wrong type.
    """
    return [_link(row) for row in objects(data, "links")]


def _link(row: dict[str, Any]) -> Link:
    info = mapping_of(row, "linkinfo", _LINK)
    stats = mapping_of(row, "stats64" if "stats64" in row else "stats", _LINK)
    flags = row.get("flags", [])
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise ParseError(flags, "flags of a link as an array of names")
    return Link(
        ifindex=integer_of(row, "ifindex", _LINK),
        ifname=text_of(row, "ifname", _LINK),
        flags=tuple(flags),
        mtu=optional_integer(row, "mtu", _LINK),
        qdisc=optional_text(row, "qdisc", _LINK),
        operstate=optional_text(row, "operstate", _LINK),
        master=optional_text(row, "master", _LINK),
        txqlen=optional_integer(row, "txqlen", _LINK),
        kind=optional_text(info, "info_kind", _LINK),
        info=mapping_of(info, "info_data", _LINK),
        slave_kind=optional_text(info, "info_slave_kind", _LINK),
        address=optional_text(row, "address", _LINK),
        alias=optional_text(row, "ifalias", _LINK),
        peer=optional_text(row, "link", _LINK),
        xdp=mapping_of(row, "xdp", _LINK) or None,
        num_tx_queues=optional_integer(row, "num_tx_queues", _LINK),
        num_rx_queues=optional_integer(row, "num_rx_queues", _LINK),
        rx=_counters(stats, "rx"),
        tx=_counters(stats, "tx"),
        extra={key: value for key, value in row.items() if key not in _KNOWN},
    )


def _counters(stats: dict[str, Any], way: str) -> dict[str, int]:
    counters = mapping_of(stats, way, _LINK)
    return {name: integer_of(counters, name, f"{way} of a link") for name in counters}
