# SPDX-License-Identifier: Apache-2.0
"""What a support engineer could look at, read as numbers: before a loss and after it.

A place is one number of one tool: `vnet0 sysfs tx_dropped`, `Udp: RcvbufErrors`. Which places a counter of
the knowledge base has is taken from the names that it gives for the counter, so that a wrong name is noticed.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from vnetkb.kb.reference import Counter

Numbers = Mapping[str, int]

TRACING = Path("/sys/kernel/tracing")
MACHINE_WIDE = "softnet "
"""Places that all network namespaces share: others on the machine may move them as well."""

PROC_NET_DEV = (
    *("Receive bytes", "Receive packets", "Receive errs", "Receive drop", "Receive fifo", "Receive frame"),
    *("Receive compressed", "Receive multicast", "Transmit bytes", "Transmit packets", "Transmit errs"),
    *("Transmit drop", "Transmit fifo", "Transmit colls", "Transmit carrier", "Transmit compressed"),
)
SAME_NUMBER = {
    "rx_dropped": ("ip rx.dropped", "proc Receive drop"),
    "tx_dropped": ("ip tx.dropped", "proc Transmit drop"),
    "rx_errors": ("ip rx.errors", "proc Receive errs"),
    "tx_errors": ("ip tx.errors", "proc Transmit errs"),
    "rx_nohandler": ("ip rx.nohandler",),
    "rx_frame_errors": ("ip rx.frame_errors", "proc Receive frame"),
    "tx_packets": ("ip tx.packets", "proc Transmit packets"),
    "tx_bytes": ("ip tx.bytes", "proc Transmit bytes"),
}
"""By name in sysfs: the same number in `ip -s -s -j link` and in /proc/net/dev."""

NO_LOSS = re.compile(
    r"(sysfs|ip|proc) (rx|tx|Receive|Transmit)[_. ](packets|bytes|multicast)$"
    r"| sysfs (multicast|collisions|carrier_\w+)$| ip tx\.carrier_changes$| ip rx\.multicast$"
    r"|^\S+ ethtool ([rt]x_queue_\d+_xdp_(packets|bytes|redirect|tx|xmit)|peer_ifindex)$"
    r"|^\S+ ethtool .*(page_pool|rx_pp_)"
    r"|^\S+ tc \S+ (bytes|packets|backlog|qlen|overlimits|requeues)$"
    r"|^(Ip|IpExt|Icmp|IcmpMsg|Udp|Tcp|TcpExt): "
    r"(InReceives|InDelivers|OutRequests|OutTransmits|InDatagrams|OutDatagrams|InSegs|OutSegs|ActiveOpens"
    r"|PassiveOpens|CurrEstab|InOctets|OutOctets|InNoECTPkts|InMcastPkts|OutMcastPkts|InBcastPkts|OutBcastPkts"
    r"|InMcastOctets|OutMcastOctets|InBcastOctets|OutBcastOctets|OutMsgs|InMsgs|OutDestUnreachs|InDestUnreachs"
    r"|Out(Type\d+|TimeExcds|ParmProbs)|ForwDatagrams|OutRsts|TCPPureAcks|TCPDelivered|TCPHPAcks|TCPHPHits|TCPOrigDataSent|TW|TCPAutoCorking"
    r"|TCPFromZeroWindowAdv|TCPToZeroWindowAdv|TCPWantZeroWindowAdv|TCPKeepAlive|TCPAckCompressed)$"
    r"|^softnet (?!2 )"
)
"""Places that traffic moves, lost or not."""


class Sight:
    """Reads all places of this network namespace."""

    def read(self) -> dict[str, int]:
        """Return the numbers of all places; a place that cannot be read here is missing."""
        numbers: dict[str, int] = {}
        links = json.loads(_run("ip", "-s", "-s", "-j", "-d", "link", "show"))
        for link in links:
            name = link["ifname"]
            numbers.update(_device(name, link.get("stats64", {})))
            if link.get("linkinfo", {}).get("info_kind") == "veth":
                numbers.update(_ethtool(name))
        numbers.update(_proc_net_dev())
        numbers.update(_qdiscs())
        numbers.update(_pairs(Path("/proc/net/snmp")))
        numbers.update(_pairs(Path("/proc/net/netstat")))
        numbers.update(_softnet())
        return numbers


def moved(before: Numbers, after: Numbers) -> dict[str, int]:
    """Return by how much each place rose; a tool may leave a number out while it is 0.

    The places of a device that came or went in between are left out.
    """
    subjects = {_subject(place) for place in before} & {_subject(place) for place in after}
    places = sorted(place for place in before.keys() | after.keys() if _subject(place) in subjects)
    changes = {place: after.get(place, 0) - before.get(place, 0) for place in places}
    return {place: change for place, change in changes.items() if change}


def _subject(place: str) -> str:
    """Return the device, protocol or file that a place belongs to; of a device, the tool as well."""
    words = place.split()
    return " ".join(words[:3] if words[1] == "tc" else words[:2] if len(words) > 2 else words[:1])


def losses(changes: Numbers) -> dict[str, int]:
    """Leave out what traffic moves."""
    return {place: change for place, change in changes.items() if not NO_LOSS.search(place)}


def places(counter: Counter, device: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the places of a counter of the knowledge base: those it names, and others of the same number.

    `device` is the name of the device, or of the protocol's own empty string. An `N` stands for queue 0.
    """
    named: set[str] = set()
    same: set[str] = set()
    for name in counter.names:
        if name.tool == "sysfs" and "/statistics/" in name.name:
            leaf = name.name.rsplit("/", 1)[1]
            named.add(f"{device} sysfs {leaf}")
            same.update(f"{device} {other}" for other in SAME_NUMBER.get(leaf, ()))
        elif name.tool in {"ip -s -j link", "ip -s -s -j link"}:
            named.add(f"{device} ip {name.name.removeprefix('stats64.')}")
        elif name.tool == "/proc/net/dev":
            named.add(f"{device} proc {name.name}")
        elif name.tool == "ethtool -S":
            named.add(f"{device} ethtool {name.name.replace('_N_', '_0_')}")
        elif name.tool == "tc -s -j qdisc":
            named.add(f"{device} {name.name}")
        elif name.tool in {"/proc/net/snmp", "/proc/net/netstat"}:
            named.add(name.name)
        elif name.tool == "/proc/net/softnet_stat":
            named.add("softnet " + name.name.removeprefix("column ") + " ")
    return frozenset(named), frozenset(same - named)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _device(name: str, stats: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, int]]:
    for direction, values in stats.items():
        for leaf, value in values.items():
            yield f"{name} ip {direction}.{leaf}", value
    for file in (Path("/sys/class/net") / name / "statistics").iterdir():
        yield f"{name} sysfs {file.name}", int(file.read_text(encoding="ascii"))


def _ethtool(name: str) -> Iterator[tuple[str, int]]:
    done = subprocess.run(["ethtool", "-S", name], capture_output=True, text=True, check=False)
    for found in re.finditer(r"^\s+(\S+): (\d+)$", done.stdout, re.MULTILINE):
        yield f"{name} ethtool {found[1]}", int(found[2])


def _proc_net_dev() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]:
        name, _, rest = line.partition(":")
        for column, value in zip(PROC_NET_DEV, rest.split(), strict=True):
            yield f"{name.strip()} proc {column}", int(value)


def _qdiscs() -> Iterator[tuple[str, int]]:
    for qdisc in json.loads(_run("tc", "-s", "-j", "qdisc", "show")):
        for leaf in ("bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen"):
            if leaf in qdisc:
                yield f"{qdisc['dev']} tc {qdisc['kind']} {leaf}", qdisc[leaf]


def _pairs(path: Path) -> Iterator[tuple[str, int]]:
    lines = path.read_text(encoding="ascii").splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *leaves = names.split()
        for leaf, value in zip(leaves, values.split()[1:], strict=True):
            yield f"{group} {leaf}", int(value)


def _softnet() -> Iterator[tuple[str, int]]:
    rows = [line.split() for line in Path("/proc/net/softnet_stat").read_text(encoding="ascii").splitlines()]
    for number, column in enumerate(zip(*rows, strict=True), start=1):
        yield f"{MACHINE_WIDE}{number} ", sum(int(value, 16) for value in column)


@dataclass(frozen=True)
class Free:
    """One skb:kfree_skb event: where a packet was freed, why, and its ethertype."""

    location: str
    reason: str
    protocol: int


_EVENT = re.compile(r"^\s*(.+)-(\d+)\s+\[\d+\].*: kfree_skb: .*protocol=(\d+) location=(\S+) reason: (\S+)")
_MARK = re.compile(r"-(\d+)\s+\[\d+\].*: tracing_mark_write: (\S+)")
_KERNEL_THREADS = ("ksoftirqd/", "kworker/")


class Trace:
    """A private trace instance with skb:kfree_skb on; empty where the kernel has none to offer."""

    def __init__(self, folder: Path | None) -> None:
        """Keep the instance's folder, `None` where there is none."""
        self._folder = folder
        self._mark = uuid4().hex

    @property
    def works(self) -> bool:
        """Whether drop reasons can be seen here."""
        return self._folder is not None

    def begin(self) -> None:
        """Forget what was seen."""
        if self._folder is None:
            return
        (self._folder / "trace").write_text("", encoding="ascii")
        (self._folder / "events/skb/kfree_skb/enable").write_text("1", encoding="ascii")
        (self._folder / "trace_marker").write_text(self._mark, encoding="ascii")

    def seen(self, protocols: Iterable[int]) -> list[Free]:
        """Return the frees of packets of these ethertypes by this process or by a thread of the kernel."""
        if self._folder is None:
            return []
        wanted = set(protocols)
        own = ""
        frees = []
        for line in (self._folder / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
            if mark := _MARK.search(line):
                own = mark[1] if mark[2] == self._mark else own
            elif event := _EVENT.match(line):
                mine = event[2] == own or event[1].startswith(_KERNEL_THREADS)
                if mine and int(event[3]) in wanted:
                    frees.append(Free(event[4].partition("+")[0], event[5], int(event[3])))
        return frees


@contextmanager
def tracing() -> Iterator[Trace]:
    """Make a trace instance for as long as the context lasts."""
    folder = TRACING / "instances" / f"vnetkb-sites-{uuid4().hex[:12]}"
    try:
        folder.mkdir()
    except OSError:
        yield Trace(None)
        return
    try:
        format_file = folder / "events/skb/kfree_skb/format"
        has_reason = "reason" in format_file.read_text(encoding="ascii")
        yield Trace(folder if has_reason else None)
    finally:
        with suppress(OSError):
            (folder / "events/enable").write_text("0", encoding="ascii")
        folder.rmdir()
