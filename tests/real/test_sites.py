# SPDX-License-Identifier: Apache-2.0
"""Each site of the knowledge base that this kernel can be brought to is brought to it, and looked at.

A trigger (triggers_*.py) loses packets at one site and tells how many, from its sender and receiver alone.
The numbers that every tool shows are read before and after: the counters that the knowledge base names, in
the places that it names for them, must rise by just that, and no other number of a loss may rise. A silent
site must move nothing. Where the kernel names drop reasons, that of the knowledge base must be the one seen.
"""

import re
import time
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import rig
import sight
import triggers_bridge
import triggers_core
import triggers_ip
import triggers_macvtap
import triggers_tun
import triggers_veth
from stage import Loss, NotHere, Trigger
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.reference import Site

KB: KnowledgeBase = load_kb()
TRIGGERS: dict[str, Trigger] = {
    **triggers_tun.TRIGGERS,
    **triggers_macvtap.TRIGGERS,
    **triggers_veth.TRIGGERS,
    **triggers_bridge.TRIGGERS,
    **triggers_core.TRIGGERS,
    **triggers_ip.TRIGGERS,
}

IMPOSSIBLE = ("Not reproducible", "Not reachable", "A race")
"""How the knowledge base's own `trigger` says that no test can do it."""

NO_MODULE = "this machine's kernel is built without it"
MACHINE_WIDE_SETTING = "needs a setting that all of the machine shares (net.core, net.ipv4.udp_mem)"
RACE = "a race: two things must happen within microseconds"
NOT_HERE: dict[str, str] = {
    "drivers/net/bonding/*": NO_MODULE,
    "net/8021q/*": NO_MODULE,
    "net/openvswitch/*": NO_MODULE,
    "drivers/vhost/*": NO_MODULE,
    "net/sched/sch_fq_codel.c": NO_MODULE,
    "net/sched/act_police.c": NO_MODULE,
    "net/bridge/br_vlan.c": NO_MODULE + ": CONFIG_BRIDGE_VLAN_FILTERING",
    "br_input.br_pass_frame_up.vlan_not_allowed": NO_MODULE + ": CONFIG_BRIDGE_VLAN_FILTERING",
    "br_forward.br_flood.neigh_suppressed": "needs a neighbour table of the bridge; read in the source only",
    "br_forward.br_multicast_flood.no_member": "a bridge trusts its own querier only after 10 seconds",
    "ip_input.ip_local_deliver.filtered": "needs a packet filter (iptables), which may be missing here",
    "net/netfilter/core.c": "nftables frees in a function of its own, which netfilter_dropped plays",
    "br_forward.__br_forward.lro": "needs a NIC that receives with LRO",
    "drivers/net/virtio_net.c": "the guest's driver: needs a device, whose other side a VMM or vhost is",
    "tun.tun_xdp_one.*": "only vhost_net hands over batches",
    "tap.tap_get_user_xdp.*": "only vhost_net hands over batches",
    "dev.skb_flow_limit.limited": MACHINE_WIDE_SETTING,
    "udp.__udp_queue_rcv_skb.protocol_memory": MACHINE_WIDE_SETTING,
    "macvlan.macvlan_broadcast.not_delivered": MACHINE_WIDE_SETTING + ", or no memory",
    "tun.tun_get_user.napi_busy": RACE,
    "dev.flush_backlog.device_unregistered": RACE,
    "veth.veth_napi_del_range.queued": RACE,
    "dev.__dev_queue_xmit.bad_gso": "6.18.44 lacks the test that stable updates of 6.12 and 7.2 have",
    "sch_api.qdisc_tree_reduce_backlog.child_dropped": "needs fq_codel, which this kernel is built without",
    "udp.udp_read_skb.bad_checksum": "needs a sockmap with a verdict program",
    "tcp_input.tcp_get_syncookie_mss.accept_queue_full": "needs a program that answers SYNs with cookies",
}
"""Sites that no trigger here reaches, by file or id, and why; most of them are the lab's."""

SETTLE_S = 10.0
PLAYED_AT_MOST = 5

BETWEEN = {"QDISC_DROP": {"QDISC_OVERLIMIT"}}
"""Reasons of kernels between those that the knowledge base has read: 6.12 had one, 7.2 moved them."""


def series(release: str) -> tuple[str, ...]:
    """Return the kernel series of the knowledge base that a release is one of, or lies between."""
    known = sorted({kernel for site in KB.sites.values() for kernel in site.kernels}, key=_version)
    here = _version(release)
    below = [kernel for kernel in known if _version(kernel) <= here][-1:]
    above = [kernel for kernel in known if _version(kernel) >= here][:1]
    return tuple(dict.fromkeys((*below, *above)))


def _version(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    assert found is not None
    return int(found[1]), int(found[2])


HERE = series(Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii"))


def applies(site: Site) -> bool:
    return bool(HERE) and set(HERE) <= set(site.kernels)


def site_of(key: str) -> str:
    return key.partition("/")[0]


@dataclass(frozen=True)
class Seen:
    """What a trigger lost, and what could be seen of it."""

    loss: Loss
    moved: dict[str, int]
    traced: bool
    reasons: list[str]


@dataclass(frozen=True)
class Expected:
    """What must be seen: amounts by place, and places of the same number that the KB does not name."""

    places: dict[str, int]
    same: dict[str, int]
    at_least: frozenset[str]

    def met_by(self, moved: dict[str, int]) -> bool:
        return all(
            moved.get(place, 0) == amount or (place in self.at_least and moved.get(place, 0) > amount)
            for place, amount in self.places.items()
        )


def _machine_wide(place: str) -> bool:
    return place.startswith(sight.MACHINE_WIDE)


def expected(site: Site, loss: Loss) -> Expected:
    """Return what the knowledge base says that must move on this kernel, with the amounts of the trigger."""
    wanted = {
        move.counter: loss.amount(move.counter)
        for move in site.moves
        if set(HERE) <= set(move.shown) and move.counter not in loss.elsewhere
    }
    site_counters = {move.counter for move in site.moves}
    assert wanted.keys() <= loss.counts.keys() <= site_counters, "the trigger is for other counters"
    amounts = [(counter, loss.counts[counter], amount) for counter, amount in wanted.items()]
    amounts += loss.also
    places: dict[str, int] = {}
    same: dict[str, int] = {}
    at_least: set[str] = set()
    for counter, device, amount in amounts:
        named, other = sight.places(KB.counters[counter], device)
        assert named, f"the knowledge base names no place of {counter} that can be read here"
        places |= dict.fromkeys(named, amount)
        same |= dict.fromkeys(other, amount)
        at_least |= {place for place in named if counter in loss.at_least or _machine_wide(place)}
    return Expected(places, same, frozenset(at_least))


def play(site: Site, trigger: Trigger) -> Seen:
    """Run a trigger in namespaces of its own."""

    def body() -> dict[str, Any]:
        eyes = sight.Sight()
        before: dict[str, int] = {}
        with sight.tracing() as trace:

            def begin() -> None:
                before.update(eyes.read())
                trace.begin()

            try:
                loss = trigger(begin)
            except NotHere as error:
                return {"not_here": str(error)}
            want = expected(site, loss)
            until = time.monotonic() + SETTLE_S
            while True:
                # A moment for what should not come: a silent site has nothing that could be waited for.
                time.sleep(0.01)
                moved = sight.moved(before, eyes.read())
                frees = trace.seen(loss.protocols)
                complete = want.met_by(moved) and (not trace.works or len(frees) >= loss.freed)
                if complete or time.monotonic() > until:
                    return {
                        "loss": asdict(loss),
                        "moved": moved,
                        "traced": trace.works,
                        "reasons": [free.reason for free in frees],
                    }

    answer = rig.in_sandbox(body)
    if "not_here" in answer:
        pytest.skip(f"NOT TRIGGERED: {answer['not_here']}")
    return Seen(Loss(**answer["loss"]), answer["moved"], answer["traced"], answer["reasons"])


def reasons(site: Site) -> set[str]:
    """Return the drop reasons that the KB names for this kernel, as the tracepoint prints them."""
    texts = [reason.text for reason in site.reasons if set(HERE) & set(reason.kernels)]
    named = {
        found[1] for text in texts for found in re.finditer(r"(?:SKB_DROP_REASON_| or )([A-Z_0-9]+)", text)
    }
    if len(HERE) > 1:
        named.update(*(BETWEEN.get(name, set()) for name in named.copy()))
    return named


def seen_at(site: Site, trigger: Trigger) -> Seen:
    """Play a trigger; again if what the whole machine shares shows more than it should.

    What comes from elsewhere comes now and then; what the trigger itself moves comes each time.
    """
    seen = play(site, trigger)
    for _ in range(PLAYED_AT_MOST - 1):
        stranger = any(_machine_wide(place) for place in unexpected(site, seen))
        if not stranger and not (seen.traced and len(seen.reasons) > seen.loss.freed):
            break
        seen = play(site, trigger)
    return seen


def unexpected(site: Site, seen: Seen) -> dict[str, int]:
    """Return the numbers of losses that rose though nothing says that they do."""
    want = expected(site, seen.loss)
    return {
        place: amount
        for place, amount in sight.losses(seen.moved).items()
        if place not in want.places and want.same.get(place) != amount
    }


@pytest.mark.parametrize("key", TRIGGERS)
def test_the_counters_of_the_site_move_and_no_others(key: str) -> None:
    site = KB.sites[site_of(key)]
    if not applies(site):
        pytest.skip(f"NOT TRIGGERED: the site is not in {' and '.join(HERE)}")
    seen = seen_at(site, TRIGGERS[key])
    want = expected(site, seen.loss)
    assert seen.loss.lost > 0 or no_loss(seen.loss)
    assert want.met_by(seen.moved), ({place: seen.moved.get(place, 0) for place in want.places}, want)
    assert unexpected(site, seen) == {}
    check_the_trace(site, seen)


def no_loss(loss: Loss) -> bool:
    """Whether the site counts traffic or pressure, and no lost packet."""
    return bool(loss.counts) and not any(KB.counters[counter].is_loss for counter in loss.counts)


def check_the_trace(site: Site, seen: Seen) -> None:
    if not seen.traced:
        return
    named = reasons(site)
    text = site.visibility.get("skb:kfree_skb", "")
    assert len(seen.reasons) == seen.loss.freed
    if named:
        assert set(seen.reasons) <= named
    elif "no reason" in text:
        assert set(seen.reasons) <= {"NOT_SPECIFIED"}
    elif text.startswith("nothing"):
        assert seen.reasons == []


def why_not_here(site: Site) -> str | None:
    """Return why no trigger for a site can be expected here, `None` if one must be."""
    if site.trigger.startswith(IMPOSSIBLE):
        return site.trigger
    patterns = (
        pattern for pattern in NOT_HERE if fnmatchcase(site.file, pattern) or fnmatchcase(site.id, pattern)
    )
    pattern = next(patterns, None)
    return None if pattern is None else NOT_HERE[pattern]


def test_each_site_that_this_kernel_can_be_brought_to_has_a_trigger() -> None:
    triggered = {site_of(key) for key in TRIGGERS}
    forgotten = [
        site.id
        for site in KB.sites.values()
        if applies(site) and site.id not in triggered and why_not_here(site) is None
    ]
    assert forgotten == []


def test_no_trigger_is_for_a_site_that_is_gone() -> None:
    assert {site_of(key) for key in TRIGGERS} <= KB.sites.keys()


def test_what_is_not_here_is_still_in_the_knowledge_base() -> None:
    texts = {text for site in KB.sites.values() for text in (site.id, site.file)}
    assert [pattern for pattern in NOT_HERE if not any(fnmatchcase(text, pattern) for text in texts)] == []


def test_nothing_is_both_triggered_and_not_here() -> None:
    triggered = {site_of(key) for key in TRIGGERS}
    assert [site for site in triggered if why_not_here(KB.sites[site]) is not None] == []
