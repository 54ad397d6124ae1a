# SPDX-License-Identifier: Apache-2.0
"""Facts from the trace, the kernel log and the rest of the host that bear on a tap's drops."""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from vnetkb.facts.host import HostFacts
from vnetkb.facts.model import Fact
from vnetkb.facts.tap import provides
from vnetkb.language import tr

if TYPE_CHECKING:
    from vnetkb.facts.model import Value
    from vnetkb.facts.tap import TapFacts


# A tap's per-device drop reasons (include/net/dropreason-core.h) by the fact that carries their share.
REASON_FACTS = {
    "trace.full_ring_share": ("FULL_RING",),
    "trace.tx_filter_share": ("TAP_TXFILTER",),
    "trace.socket_filter_share": ("SOCKET_FILTER",),
    "trace.tap_filter_share": ("TAP_FILTER",),
    "trace.dev_ready_share": ("DEV_READY",),
    "trace.copy_failed_share": ("SKB_UCOPY_FAULT",),
    "trace.no_memory_share": ("NOMEM",),
}


def _reason_share(tap: TapFacts, name: str) -> Fact:
    """Share, in per cent, of the traced drops of this device that carry one of the fact's reasons."""
    path = tap.tables.path("trace", None, "series")
    if tap.traced is None and HostFacts(tap.tables).fact("host.trace_has_drop_reasons").value is False:
        return Fact(name, why_unknown=tr("this kernel gives no drop reasons, so a trace could not tell"))
    if tap.traced is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    if not tap.traced:
        return Fact(
            name,
            missing=("trace",),
            captures=(path,),
            why_unknown=tr("no drop of this tap fell into the trace"),
        )
    tally = Tally(drop.reason for drop in tap.traced)
    named = sum(count for reason, count in tally.items() if reason and reason != "NOT_SPECIFIED")
    if not named:
        return Fact(
            name, captures=(path,), why_unknown=tr("this kernel's trace gives no drop reason for this tap")
        )
    share = sum(tally[reason] for reason in REASON_FACTS[name])
    return Fact(name, 100.0 * share / named, captures=(path,))


@provides("trace.drops")
def _trace_drops(tap: TapFacts) -> Fact:
    if tap.traced is None:
        return Fact("trace.drops", missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    return Fact("trace.drops", len(tap.traced), captures=(tap.tables.path("trace", None, "series"),))


@provides("trace.coverage")
def _coverage(tap: TapFacts) -> Fact:
    name, lost = "trace.coverage", tap.delta("tx_dropped")
    if tap.traced is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    if not lost:
        return Fact(name, why_unknown=tr("how many packets were dropped is not known"))
    captures = (tap.tables.path("trace", None, "series"), *tap.statistic_paths())
    return Fact(name, min(100.0, 100.0 * len(tap.traced) / lost), captures=captures)


@provides("trace.driver_share")
def _driver_share(tap: TapFacts) -> Fact:
    name, rose = "trace.driver_share", tap.dropped_during_trace
    if tap.traced is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    if not rose:
        why = tr("the trace is not covered by the series, lost events, or saw no drop")
        return Fact(name, missing=("trace",), why_unknown=why)
    captures = (tap.tables.path("trace", None, "series"), *((tap.timeline.path,) if tap.timeline else ()))
    return Fact(name, min(100.0, 100.0 * len(tap.traced) / rose), captures=captures)


# Functions of net/core whose frees are packets that never reached a driver; on kernels that print the
# location by name.
CORE_FREES = {
    "trace.frees_in_queue_xmit": ("__dev_queue_xmit", "dev_queue_xmit"),
    "trace.frees_in_validate": ("validate_xmit_skb", "validate_xmit_skb_list"),
    "trace.frees_in_direct_xmit": ("__dev_direct_xmit",),
    "trace.frees_in_redirect": (
        "__bpf_redirect",
        "__bpf_redirect_neigh",
        "bpf_out_neigh_v4",
        "bpf_out_neigh_v6",
    ),
}


def place_of(event: object) -> str | None:
    """Return the function that freed a packet, without offset and the compiler's suffix.

    None for an event of another kind; where the kernel prints bare addresses, the address.
    """
    location = getattr(event, "location", None)
    return str(location).partition("+")[0].partition(".")[0] if location is not None else None


def _core_frees(tap: TapFacts, name: str) -> Fact:
    trace = tap.tables.get("trace", None, scope="series")
    if trace is None:
        return Fact(name, missing=("trace",), why_unknown=tap.tables.why("trace", None, "series"))
    path = tap.tables.path("trace", None, "series")
    places = [place for event in trace.events if (place := place_of(event)) is not None]
    if places and not any(place.isidentifier() and not place.startswith("0x") for place in places):
        return Fact(
            name, captures=(path,), why_unknown=tr("this kernel's trace gives locations as bare addresses")
        )
    return Fact(name, sum(1 for place in places if place in CORE_FREES[name]), captures=(path,))


for _name in CORE_FREES:

    def _frees(tap: TapFacts, name: str = _name) -> Fact:
        return _core_frees(tap, name)

    provides(_name)(_frees)


@provides("log.recursion")
def _log_recursion(tap: TapFacts) -> Fact:
    # net/core/dev.c __dev_queue_xmit names the device at the end of the first sentence.
    return tap.log_lines("log.recursion", lambda text: f"Dead loop on virtual device {tap.name}," in text)


@provides("log.asks_to_queue")
def _log_asks_to_queue(tap: TapFacts) -> Fact:
    return tap.log_lines(
        "log.asks_to_queue", lambda text: f"Virtual device {tap.name} asks to queue packet" in text
    )


@provides("log.unexpected_gso")
def _log_unexpected_gso(tap: TapFacts) -> Fact:
    return tap.log_lines("log.unexpected_gso", lambda text: "unexpected GSO type" in text)


@provides("log.allocation_failures")
def _log_allocation_failures(tap: TapFacts) -> Fact:
    return tap.log_lines("log.allocation_failures", lambda text: "page allocation failure" in text)


@provides("host.vhost_zerocopy")
def _vhost_zerocopy(tap: TapFacts) -> Fact:
    name, modules = "host.vhost_zerocopy", tap.tables.once("module-parameters")
    value = (modules or {}).get("vhost_net", {}).get("experimental_zcopytx")
    if value is None:
        return Fact(
            name,
            missing=("module-parameters",),
            why_unknown=tr("vhost_net is not loaded or its parameters were not taken"),
        )
    return Fact(name, value not in {"0", "N"}, captures=(tap.tables.once_path("module-parameters"),))


@provides("host.xdp_devices")
def _xdp_devices(tap: TapFacts) -> Fact:
    seen = [tap.topology.links(n) for n in tap.tables.snapshots]
    ends: list[Value | None] = [
        sum(1 for link in links.values() if link.xdp) if links else None for links in seen
    ]
    return tap.from_ends(
        "host.xdp_devices", ends, tuple(tap.topology.links_path(n) for n in tap.tables.snapshots), "ip-link"
    )


for _name in REASON_FACTS:

    def _reason(tap: TapFacts, name: str = _name) -> Fact:
        return _reason_share(tap, name)

    provides(_name)(_reason)
