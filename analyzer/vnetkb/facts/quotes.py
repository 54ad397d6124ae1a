# SPDX-License-Identifier: Apache-2.0
"""The lines of a bundle that a fact rests on, by member and line number.

A layout has its own way to name a device or a thread; here stands how its lines are found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.facts.topology import Topology

LONGEST = 160
AT_MOST = 4


class Quote(NamedTuple):
    """One line of a capture.

    Attributes:
        member: The capture's path in the bundle.
        line: Its number, from 1.
        text: The line, or the part of it that matters, with an ellipsis where it was cut.
    """

    member: str
    line: int
    text: str


class _About(NamedTuple):
    """Whom the lines are about."""

    device: str
    fact: str
    pids: tuple[int, ...]
    threads: tuple[int, ...]
    vm: str | None


# Which file of a device in sysfs a fact is read from; the others are counters.
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "tap.tx_queue_len": ("tx_queue_len",),
    "tap.ring_was_shortened": ("tx_queue_len",),
    "tap.carrier": ("carrier", "flags"),
    "tap.carrier_blinked": ("carrier_changes",),
    "tap.lost_carrier": ("carrier",),
    "tap.is_up": ("flags",),
    "tap.driver": ("tun_flags",),
    "tap.multi_queue": ("tun_flags",),
    "tap.persistent": ("tun_flags",),
    "tap.is_layer_2": ("tun_flags",),
    "tap.backpressure": ("tun_flags",),
    "tap.queue_count": ("tun_flags",),
    "tap.same_device": ("ifindex",),
    "ring.cover_ms": ("tx_queue_len",),
    "ring.offered_share": ("tx_queue_len",),
    "vcpu.cover_ms": ("tx_queue_len",),
    "vcpu.offered_share": ("tx_queue_len",),
}


def _sysfs(about: _About) -> Iterator[str]:
    kind, _, field = about.fact.partition(".")
    if about.fact in _ATTRIBUTES:
        keys: Sequence[str] = _ATTRIBUTES[about.fact]
    elif kind == "drop" or field.startswith(("rx_", "tx_")):
        keys = (
            (f"statistics/{field}",) if kind != "drop" else ("statistics/tx_dropped", "statistics/tx_packets")
        )
    else:
        keys = ("statistics/tx_packets", "statistics/tx_dropped", field)
    for key in keys:
        yield f"\n{about.device}/{key}:"


def _column(about: _About) -> Iterator[str]:
    yield f" {about.device}:"
    yield f"\n{about.device}:"


def _status(about: _About) -> Iterator[str]:
    for pid in about.pids:
        yield f"\n/proc/{pid}/task/{pid}/status:State:"
    for tid in about.threads:
        yield f"/task/{tid}/status:State:"


def _thread(about: _About) -> Iterator[str]:
    for tid in about.threads:
        yield f"/task/{tid}/"


def _process(about: _About) -> Iterator[str]:
    for pid in about.pids:
        yield f"\n{pid}\t-name"
    yield f"ifname={about.device},"


def _json(key: str) -> Callable[[_About], Iterator[str]]:
    def needles(about: _About) -> Iterator[str]:
        yield f'"{key}":"{about.device}"'
        yield f'"{key}": "{about.device}"'

    return needles


def _device(about: _About) -> Iterator[str]:
    yield f"\t{about.device}\n"
    yield about.device


_NEEDLES: Mapping[str, Callable[[_About], Iterator[str]]] = {
    "sysfs-net": _sysfs,
    "proc-net-dev": _column,
    "proc-status": _status,
    "task-schedstat": _thread,
    "task-wchan": _thread,
    "task-cgroup": _thread,
    "proc-cmdline": _process,
    "ip-link": _json("ifname"),
    "tc-qdisc": _json("dev"),
}


class Quotes:
    """Finds the lines of members again; a member's lines are counted once."""

    def __init__(self, tables: Tables, topology: Topology) -> None:
        """Keep the sources; nothing is searched yet."""
        self._tables = tables
        self._topology = topology
        self._places = {
            capture.place: (capture.id, capture.snapshot, capture.scope)
            for capture in tables.bundle.manifest.captures
        }

    def of(self, member: str, device: str, fact: str) -> tuple[Quote, ...]:
        """Return the lines of a member that a fact of a device is read from; empty when none stands out.

        Of many the first and the last are given: in a series the interesting thing is how far it went.
        """
        key = self._places.get(member)
        data = None if key is None else self._tables.bundle.data(*key)
        if key is None or not data:
            return ()
        reader = self._topology.reader(device)
        vcpus = self._topology.vcpu_threads(device) or ()
        threads = vcpus if fact.startswith("vcpu.") else reader.threads
        about = _About(device, fact, reader.pids, threads, self._topology.vm(device))
        needles = _NEEDLES.get(key[0], _device)
        found: dict[int, Quote] = {}
        for needle in needles(about):
            for quote in _search(member, data, needle.encode("utf-8", "surrogateescape")):
                found.setdefault(quote.line, quote)
        lines = [found[line] for line in sorted(found)]
        return tuple(lines if len(lines) <= AT_MOST else [*lines[: AT_MOST // 2], *lines[-AT_MOST // 2 :]])


def _search(member: str, data: bytes, needle: bytes) -> Iterator[Quote]:
    """Yield the first and the last lines that hold the needle; one that starts a line may start the text."""
    places = []
    if needle.startswith(b"\n") and data.startswith(needle[1:]):
        places.append(0)
    at = data.find(needle)
    for _ in range(AT_MOST // 2):
        if at < 0:
            break
        places.append(at + needle.startswith(b"\n"))
        at = data.find(needle, at + 1)
    end = data.rfind(needle)
    if end >= 0:
        places.append(end + needle.startswith(b"\n"))
    for place in dict.fromkeys(places):
        yield _quote(member, data, place)


def _quote(member: str, data: bytes, place: int) -> Quote:
    start = data.rfind(b"\n", 0, place) + 1
    end = data.find(b"\n", place)
    stop = len(data) if end < 0 else end
    before, after = "", ""
    if stop - start > LONGEST:
        first = max(start, place - LONGEST // 4)
        before, after = ("… " if first > start else ""), (" …" if first + LONGEST < stop else "")
        start, stop = first, min(stop, first + LONGEST)
    text = data[start:stop].decode("utf-8", "surrogateescape")
    return Quote(member, data.count(b"\n", 0, place) + 1, f"{before}{text}{after}")
