# SPDX-License-Identifier: Apache-2.0
"""The knowledge base agrees with real kernel source, and would notice if it did not.

Runs on the trees and tarballs that VNETKB_KERNEL_SOURCES names, separated by `:`; without it on those that
`make sources` has fetched and on installed packages linux-source-*.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

import pytest

from vnetkb import paths
from vnetkb.kb import load, verify, walkthrough
from vnetkb.kb.kernels import numbers
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.verified import load_lines
from vnetkb.kb.verify import Source, VerifyCode

named = os.environ.get("VNETKB_KERNEL_SOURCES", "")
cache = Path(os.environ.get("VNETKB_SOURCE_CACHE") or Path.home() / ".cache" / "vnetkb-sources")
SOURCES = [Path(each) for each in named.split(":") if each] or sorted(
    {
        file.name: file
        for folder in (Path("/usr/src"), cache)
        for file in folder.glob("linux-source-*.tar.xz")
    }.values()
)

pytestmark = [
    pytest.mark.skipif(
        not SOURCES,
        reason="THE KNOWLEDGE BASE IS NOT CHECKED AGAINST KERNEL SOURCE: there is none, run make sources",
    ),
]
on_each = pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load.load_kb()


@lru_cache
def files(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return the version and the cited files of a source, read once: a tarball takes 20 s to stream."""
    wanted = verify.cited_files(load.load_kb(), walkthrough.references(paths.kb_dir()))
    return verify.read_files(path, wanted)


@lru_cache
def parsed(path: Path) -> Source:
    return Source(*files(path))


def mutated(path: Path, file: str, old: str, new: str) -> Source:
    version, contents = files(path)
    assert contents[file].count(old.encode()) >= 1, f"{file} of {version} has no {old!r}"
    return parsed(path).replacing(file, contents[file].replace(old.encode(), new.encode(), 1))


@on_each
def test_every_claim_holds_and_nothing_is_unclaimed(kb: KnowledgeBase, path: Path) -> None:
    codes = walkthrough.references(paths.kb_dir())
    result = verify.verify_source(kb, parsed(path), codes)
    assert verify.to_text(result).splitlines()[-1] == "0 faults", verify.to_text(result)
    assert result.listed
    assert {row.unclaimed for row in result.counters} == {0}


@on_each
def test_the_kept_lines_are_those_of_this_version(kb: KnowledgeBase, path: Path) -> None:
    version, _ = files(path)
    kept = load_lines(paths.kb_dir())
    if version not in kept:
        pytest.skip(f"no kept result for {version}, only for {', '.join(sorted(kept, key=numbers))}")
    assert verify.verify_source(kb, parsed(path)).sites == kept[version]


@on_each
def test_a_removed_site_is_noticed(kb: KnowledgeBase, path: Path) -> None:
    source = mutated(path, "drivers/net/tun.c", "if (ptr_ring_produce(&tfile->tx_ring, skb))", "if (0)")
    told = {(fault.code, fault.subject) for fault in verify.verify_source(kb, source).faults}
    assert told == {(VerifyCode.STATEMENT_GONE, "tun.tun_net_xmit.ring_full")}


@on_each
@pytest.mark.parametrize(
    "counting",
    [
        "this_cpu_inc(tun->pcpu_stats->tx_dropped);",
        "dev_core_stats_tx_dropped_inc(dev);",
        "dev->stats.tx_dropped++;",
    ],
)
def test_an_added_increment_is_noticed(kb: KnowledgeBase, path: Path, counting: str) -> None:
    source = mutated(path, "drivers/net/tun.c", "netif_tx_stop_all_queues(dev);", f"{counting}\n\tx();")
    faults = [fault for fault in verify.verify_source(kb, source).faults if fault.subject == "tap.tx_dropped"]
    assert [fault.code for fault in faults] == [VerifyCode.UNCLAIMED]
    assert "tun_net_close()" in faults[0].text


OTHER_WORDS = [
    (
        "qdisc.drops",
        "net/sched/sch_api.c",
        "qdisc_notify",
        "WRITE_ONCE(q->qstats.drops, q->qstats.drops + 1);",
    ),
    ("softnet.flow_limit", "net/core/dev.c", "netif_rx_internal", "fl->count++;"),
    ("veth.rx_dropped", "drivers/net/veth.c", "veth_open", "dev_core_stats_rx_dropped_inc(dev);"),
    (
        "virtio_net.tx_dropped",
        "drivers/net/virtio_net.c",
        "virtnet_open",
        "dev_core_stats_tx_dropped_inc(dev);",
    ),
    ("vlan.tx_dropped", "net/8021q/vlan_dev.c", "vlan_dev_open", "dev_core_stats_tx_dropped_inc(dev);"),
    ("bridge.tx_dropped", "net/bridge/br_device.c", "br_dev_open", "dev_core_stats_tx_dropped_inc(dev);"),
    ("ovs_datapath.missed", "net/openvswitch/datapath.c", "ovs_dp_upcall", "counter = &stats->n_missed;"),
]


@on_each
@pytest.mark.parametrize(("counter", "file", "function", "counting"), OTHER_WORDS)
def test_an_increment_in_other_words_is_noticed(  # noqa: PLR0917 - one place of a counting
    kb: KnowledgeBase, path: Path, counter: str, file: str, function: str, counting: str
) -> None:
    _, contents = files(path)
    head = re.search(rf"^.*\b{function}\([^;{{]*\)\n\{{\n".encode(), contents[file], re.MULTILINE)
    assert head is not None
    source = mutated(path, file, head[0].decode(), f"{head[0].decode()}\t{counting}\n")
    told = [fault for fault in verify.verify_source(kb, source).faults if fault.subject == counter]
    assert [fault.code for fault in told] == [VerifyCode.UNCLAIMED]
    assert f"{function}()" in told[0].text


@on_each
def test_a_lost_increment_is_noticed(kb: KnowledgeBase, path: Path) -> None:
    version, contents = files(path)
    counting = "this_cpu_inc(tun->pcpu_stats->tx_dropped);"
    if counting.encode() not in contents["drivers/net/tun.c"]:
        counting = "dev_core_stats_tx_dropped_inc(dev);"
    result = verify.verify_source(kb, mutated(path, "drivers/net/tun.c", counting, ";"))
    gone = {fault.subject for fault in result.faults if fault.code is VerifyCode.STATEMENT_GONE}
    assert "tun.tun_net_xmit.ring_full" in gone, version


@on_each
def test_a_renamed_function_is_noticed(kb: KnowledgeBase, path: Path) -> None:
    source = mutated(path, "net/core/dev.c", "generic_xdp_tx(struct", "generic_xdp_send(struct")
    told = {(fault.code, fault.subject) for fault in verify.verify_source(kb, source).faults}
    assert (VerifyCode.FUNCTION_GONE, "dev.generic_xdp_tx.not_sent") in told
