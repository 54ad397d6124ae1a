# SPDX-License-Identifier: Apache-2.0
"""Facts about the tap device itself: its settings, its link, its queues and who holds it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from vnetkb.facts.device import number
from vnetkb.facts.model import Fact
from vnetkb.facts.tap import provides
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.facts.model import Value
    from vnetkb.facts.tap import TapFacts


# include/uapi/linux/if_tun.h; sysfs shows tun->flags, where IFF_PERSIST is 0x0800.
IFF_TAP = 0x0002
IFF_NAPI_FRAGS = 0x0020
LONGEST_FRAME = 65_549  # a GSO packet of 64 KiB with its Ethernet header and two tags
IFF_BACKPRESSURE = 0x0080
IFF_MULTI_QUEUE = 0x0100
IFF_PERSIST = 0x0800
IFF_UP = 0x1  # include/uapi/linux/if.h


@provides("tap.driver")
def _driver(tap: TapFacts) -> Fact:
    flags = tap.attributes("tun_flags")
    if any(flags):
        return Fact("tap.driver", "tun", captures=tap.tables.paths("sysfs-net"))
    kinds = {
        link.kind for n in tap.tables.snapshots if (link := tap.topology.links(n).get(tap.name)) is not None
    }
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return (
        Fact("tap.driver", "tun", captures=captures)
        if kinds == {"tun"}
        else Fact("tap.driver", missing=("sysfs-net",))
    )


@provides("tap.tx_queue_len")
def _tx_queue_len(tap: TapFacts) -> Fact:
    ends = [number(text) for text in tap.attributes("tx_queue_len")]
    captures = tap.tables.paths("sysfs-net")
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        ends = [link.txqlen if link is not None else None for link in links]
        captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends("tap.tx_queue_len", ends, captures, "sysfs-net")


def _flag(tap: TapFacts, name: str, bit: int) -> Fact:
    flags = [number(text, 16) for text in tap.attributes("tun_flags")]
    ends = [None if value is None else bool(value & bit) for value in flags]
    return tap.from_ends(name, ends, tap.tables.paths("sysfs-net"), "sysfs-net")


@provides("tap.multi_queue")
def _multi_queue(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.multi_queue", IFF_MULTI_QUEUE)


@provides("tap.persistent")
def _persistent(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.persistent", IFF_PERSIST)


@provides("tap.is_layer_2")
def _is_layer_2(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.is_layer_2", IFF_TAP)


@provides("tap.napi_frags")
def _napi_frags(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.napi_frags", IFF_NAPI_FRAGS)


def _longest_frame(tap: TapFacts) -> int:
    """The longest frame that may have passed: the MTU with its header, unless a GSO packet was handed on."""
    mtu = tap.fact("device.mtu").value
    features = (tap.tables.once("ethtool-k") or {}).get(tap.name) or {}
    off = [not on for offload, on in features.items() if offload.endswith("segmentation-offload")]
    return mtu + 22 if off and all(off) and isinstance(mtu, int) else LONGEST_FRAME


@provides("tap.cut_bytes")
def _cut_bytes(tap: TapFacts) -> Fact:
    """Bytes that the queueing discipline handed on and the tap did not deliver, in equally many packets."""
    name = "tap.cut_bytes"
    snapshots = tap.tables.snapshots
    roots = [[row for row in tap.topology.qdiscs(tap.name, n) if row.root] for n in snapshots]
    if len(snapshots) < 2 or any(len(one) != 1 or one[0].packets is None for one in roots):  # noqa: PLR2004
        return Fact(
            name, missing=("tc-qdisc",), why_unknown=tr("it needs two snapshots of a qdisc that counts")
        )
    first, last = roots[0][0], roots[-1][0]
    sent, handed = (last.packets or 0) - (first.packets or 0), (last.bytes or 0) - (first.bytes or 0)
    delivered, got = tap.between_snapshots("tx_packets"), tap.between_snapshots("tx_bytes")
    refused = tap.between_snapshots("tx_dropped")
    if sent <= 0 or delivered is None or got is None or refused is None:
        return Fact(name, why_unknown=tr("one of the counts is not known or went back"))
    # Packets that came between the two readings, and those that wait in the ring.
    under_way = abs(sent - delivered)
    if refused:
        return Fact(name, why_unknown=tr("packets that the tap dropped were handed on as well"))
    cut = handed - got - under_way * _longest_frame(tap)
    captures = (*tap.tables.paths("tc-qdisc"), *tap.statistic_paths())
    if cut <= 0 < handed - got:
        return Fact(name, captures=captures, why_unknown=tr("packets under way may be all the difference"))
    return Fact(name, max(0, cut), captures=captures)


@provides("tap.cut_frames")
def _cut_frames(tap: TapFacts) -> Fact:
    """The fewest frames that can be short of that many bytes."""
    cut = tap.fact("tap.cut_bytes")
    fewest = -(-cut.value // _longest_frame(tap)) if isinstance(cut.value, int) else None
    return cut._replace(name="tap.cut_frames", value=fewest)


@provides("guest.mergeable_buffers")
def _mergeable(tap: TapFacts) -> Fact:
    """Whether QEMU offers the guest's NIC to join buffers; whether its driver accepts is not seen here."""
    name = "guest.mergeable_buffers"
    if tap.topology.nic_argument(tap.name, "mrg_rxbuf") == "off":
        return Fact(name, value=False, captures=(tap.tables.once_path("proc-cmdline"),))
    return Fact(name, why_unknown=tr("it is offered, but whether the guest's driver accepted it is not seen"))


@provides("tap.backpressure")
def _backpressure(tap: TapFacts) -> Fact:
    return _flag(tap, "tap.backpressure", IFF_BACKPRESSURE)


def _changed(tap: TapFacts, name: str, of: str, went: Callable[[Value, Value], bool]) -> Fact:
    """Build the fact that a per-snapshot fact went a certain way from any snapshot to the next."""
    fact = tap.fact(of)
    known = [end for end in fact.ends if end is not None]
    if len(known) != len(fact.ends) or len(known) < 2:  # noqa: PLR2004
        return Fact(name, missing=fact.missing, why_unknown=tr("it needs two snapshots that show it"))
    return Fact(name, any(went(a, b) for a, b in itertools.pairwise(known)), captures=fact.captures)


@provides("tap.ring_was_shortened")
def _shortened(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.ring_was_shortened", "tap.tx_queue_len", lambda a, b: int(b) < int(a))  # type: ignore[arg-type]


@provides("tap.carrier_blinked")
def _carrier_blinked(tap: TapFacts) -> Fact:
    counts = [number(text) for text in tap.attributes("carrier_changes")]
    if None in counts or len(counts) <= 1:
        return Fact(
            "tap.carrier_blinked",
            missing=("sysfs-net",),
            why_unknown=tr("it needs two snapshots that show it"),
        )
    return Fact("tap.carrier_blinked", len(set(counts)) > 1, captures=tap.tables.paths("sysfs-net"))


@provides("tap.lost_carrier")
def _lost_carrier(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.lost_carrier", "tap.carrier", lambda a, b: bool(a) and not b)


@provides("tap.queues_were_detached")
def _were_detached(tap: TapFacts) -> Fact:
    return _changed(tap, "tap.queues_were_detached", "tap.queues_attached", lambda a, b: int(b) < int(a))  # type: ignore[arg-type]


@provides("tap.is_up")
def _is_up(tap: TapFacts) -> Fact:
    flags = [number(text, 16) for text in tap.attributes("flags")]
    ends: list[Value | None] = [None if value is None else bool(value & IFF_UP) for value in flags]
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        ends = ["UP" in link.flags if link is not None else None for link in links]
    return tap.from_ends("tap.is_up", ends, tap.tables.paths("sysfs-net"), "sysfs-net")


@provides("tap.carrier")
def _carrier(tap: TapFacts) -> Fact:
    # net-sysfs.c carrier_show answers -EINVAL on a device that is down, so the file is then unreadable.
    values = tap.attributes("carrier")
    ends: list[Value | None] = [{"0": False, "1": True}.get(text) if text else None for text in values]
    captures = tap.tables.paths("sysfs-net")
    if None in ends:
        links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
        seen = [
            None if link is None or "UP" not in link.flags else "NO-CARRIER" not in link.flags
            for link in links
        ]
        ends = [end if end is not None else other for end, other in zip(ends, seen, strict=True)]
        captures = (*captures, *(tap.topology.links_path(n) for n in tap.tables.snapshots))
    return tap.from_ends("tap.carrier", ends, captures, "sysfs-net")


@provides("tap.owner_count")
def _owner_count(tap: TapFacts) -> Fact:
    owners = tap.topology.owners(tap.name)
    if owners is None:
        reader = tap.topology.reader(tap.name)
        return Fact("tap.owner_count", missing=("tun-fdinfo",), why_unknown=reader.why_unknown)
    return Fact("tap.owner_count", len(owners), captures=(tap.tables.once_path("tun-fdinfo"),))


def _queues(tap: TapFacts, name: str, key: str) -> Fact:
    if tap.fact("tap.multi_queue").value is False:
        return Fact(
            name, why_unknown=tr("the device has a single queue, for which the kernel tells no number")
        )
    links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
    ends = [number(str(link.info.get(key, ""))) if link is not None else None for link in links]
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends(name, ends, captures, "ip-link")


@provides("tap.queues_attached")
def _queues_attached(tap: TapFacts) -> Fact:
    return _queues(tap, "tap.queues_attached", "numqueues")


@provides("tap.queues_detached")
def _queues_detached(tap: TapFacts) -> Fact:
    return _queues(tap, "tap.queues_detached", "numdisabled")


@provides("tap.queue_count")
def _queue_count(tap: TapFacts) -> Fact:
    attached = tap.fact("tap.queues_attached")
    if tap.fact("tap.multi_queue").value is False:
        ends = tuple(1 for _ in tap.tables.snapshots)
        return Fact("tap.queue_count", 1, ends, captures=tap.fact("tap.multi_queue").captures)
    return attached._replace(name="tap.queue_count")


@provides("tap.qdisc")
def _qdisc(tap: TapFacts) -> Fact:
    links = [tap.topology.links(n).get(tap.name) for n in tap.tables.snapshots]
    ends = [link.qdisc if link is not None else None for link in links]
    captures = tuple(tap.topology.links_path(n) for n in tap.tables.snapshots)
    return tap.from_ends("tap.qdisc", ends, captures, "ip-link")


@provides("tap.same_device")
def _same_device(tap: TapFacts) -> Fact:
    return Fact("tap.same_device", tap.same_device, captures=tap.tables.paths("sysfs-net"))
