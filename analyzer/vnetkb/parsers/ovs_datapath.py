# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl dpctl/show -s`: what Open vSwitch's lib/dpctl.c (`show_dpif`) prints for each datapath.

Lines are indented with tabs up to 2.5 and with blanks later. The ports' line UPCALL came with 3.2, masks and
caches depend on the datapath. Lines of other kinds are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines, natural

_DATAPATH = re.compile(r"(\S+@\S+):")
_PORT = re.compile(r"port ([0-9]{1,10}): (\S+)(?: \(([^:)]*)(?::.*)?\))?(?:; .*)?")
_SIZE = re.compile(r" \([0-9.]+ [KMGTP]iB\)")
_KEY = re.compile(r"([A-Za-z_/]+):(\S+)")
_UNKNOWN = "?"
_NAMES = {
    "RX packets": "rx_packets",
    "RX errors": "rx_errors",
    "RX dropped": "rx_dropped",
    "RX overruns": "rx_over_err",
    "RX frame": "rx_frame_err",
    "RX bytes": "rx_bytes",
    "TX packets": "tx_packets",
    "TX errors": "tx_errors",
    "TX dropped": "tx_dropped",
    "TX aborted": "tx_aborted_errors",
    "TX carrier": "tx_carrier_errors",
    "TX bytes": "tx_bytes",
    "UPCALL packets": "upcall_packets",
    "UPCALL errors": "upcall_errors",
}


@dataclass(frozen=True, slots=True)
class DatapathPort:
    """One port of a datapath.

    Attributes:
        number: Its number in the datapath.
        name: Name of the device behind it.
        type: ``internal``, ``tap``, ``vxlan`` and so on; None for a device of the system.
        counters: Its counters by the names that ``ovs-vsctl list Interface`` gives them; None for one that
            the port does not have (``?``). A counter that this version does not print is missing.
    """

    number: int
    name: str
    type: str | None
    counters: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Datapath:
    """One datapath.

    Attributes:
        name: ``system@ovs-system`` for the kernel's, ``netdev@ovs-netdev`` for the one in userspace.
        hit: Packets for which there was a flow.
        missed: Packets for which there was none, which are handed to ovs-vswitchd.
        lost: Packets that could not be handed to it.
        flows: Flows installed now.
        ports: Its ports in the order of the text.
    """

    name: str
    hit: int | None
    missed: int | None
    lost: int | None
    flows: int | None
    ports: tuple[DatapathPort, ...]


def parse(data: bytes) -> list[Datapath]:
    """Return the datapaths in the order of the text.

    Raises:
        ParseError: A line belongs to no datapath, or one of a known kind has another layout.
    """
    found: list[tuple[str, dict[str, int], list[DatapathPort]]] = []
    for number, line in lines(data):
        text = line.strip()
        if not text:
            continue
        if line[0] not in " \t":
            match = _DATAPATH.fullmatch(text)
            if match is None:
                raise ParseError(line, "'TYPE@DATAPATH:'", number)
            found.append((match[1], {}, []))
        elif not found:
            raise ParseError(line, "'TYPE@DATAPATH:' first", number)
        else:
            _take(text, number, found[-1][1], found[-1][2])
    return [
        Datapath(
            name,
            totals.get("hit"),
            totals.get("missed"),
            totals.get("lost"),
            totals.get("flows"),
            tuple(ports),
        )
        for name, totals, ports in found
    ]


def _take(text: str, line: int, totals: dict[str, int], ports: list[DatapathPort]) -> None:
    head = text.partition(" ")[0]
    if head == "lookups:":
        pairs = dict(_KEY.findall(text.removeprefix(head)))
        if not {"hit", "missed", "lost"} <= set(pairs):
            raise ParseError(text, "'lookups: hit:N missed:N lost:N'", line)
        totals.update((key, natural(pairs[key], key, line)) for key in ("hit", "missed", "lost"))
    elif head == "flows:":
        totals["flows"] = natural(text.removeprefix(head).strip(), "flows", line)
    elif head == "port":
        match = _PORT.fullmatch(text)
        if match is None:
            raise ParseError(text, "'port NUMBER: NAME (TYPE)'", line)
        ports.append(DatapathPort(int(match[1]), match[2], match[3] or None, {}))
    elif ports and head in ("RX", "TX", "UPCALL"):
        ports[-1].counters.update(_counters(text, line))
    elif ports and text.startswith("collisions:"):
        ports[-1].counters["collisions"] = _number(text.removeprefix("collisions:"), "collisions", line)


def _counters(text: str, line: int) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    side = ""
    for word in _SIZE.sub("", text).split():
        key, colon, value = word.partition(":")
        if not colon:
            side = word
            continue
        name = _NAMES.get(f"{side} {key}")
        if name is not None:
            found[name] = _number(value, f"{side} {key}", line)
    if not found:
        raise ParseError(text, "'RX packets:N …', 'TX packets:N …' or 'UPCALL packets:N …'", line)
    return found


def _number(text: str, what: str, line: int) -> int | None:
    return None if text == _UNKNOWN else natural(text, what, line)
