# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in net/core and net/sched: towards a tap, at a device's entrance, in a queue."""

import fcntl
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

import ebpf
import rig
import stage
from rig import Tap
from stage import Begin, Loss, N, Triggers, frame

TRIGGERS = Triggers()
TX_DROPPED = {"tap.tx_dropped": "vnet0"}
IP_ONLY = (stage.IPV4,)


def _to_tap(begin: Begin, packet: bytes, *, header: bytes = b"", bypass: bool = False) -> Loss:
    """Send a packet N times to a tap whose offloads are off."""
    tap = Tap("vnet0", vnet_hdr=False)
    begin()
    sent = stage.send("vnet0", [packet] * N, header=header, bypass=bypass)
    return Loss(sent, len(stage.drain(tap.fds[0])), TX_DROPPED, protocols=IP_ONLY)


@TRIGGERS.at("dev.validate_xmit_skb.gso_failed")
def gso_failed(begin: Begin) -> Loss:
    return _to_tap(begin, stage.GSO_THAT_FAILS[10:], header=stage.GSO_THAT_FAILS[:10])


@TRIGGERS.at("dev.__dev_direct_xmit.not_valid")
def gso_past_the_queue(begin: Begin) -> Loss:
    loss = _to_tap(begin, stage.tcp_frame(1000), header=stage.gso_header(100), bypass=True)
    # The trace shows the ten segments that the packet was cut into.
    return replace(loss, frees=10 * N)


@TRIGGERS.at("dev.__dev_direct_xmit.device_down")
def no_carrier_past_the_queue(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    fcntl.ioctl(tap.fds[0], stage.TUNSETCARRIER, struct.pack("i", 0))
    begin()
    sent = stage.send("vnet0", [frame()] * N, bypass=True)
    return Loss(sent, len(stage.drain(tap.fds[0])), TX_DROPPED)


@TRIGGERS.at("dev.__dev_queue_xmit.recursion")
def recursion(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    stage.tool("tc", "qdisc", "add", "dev", "vnet0", "root", "noqueue")
    before = "vnet0"
    for number in range(9):
        name = f"chain{number}"
        stage.ip("link", "add", name, "type", "ifb")
        stage.ip("link", "set", name, "up")
        stage.tc_program(name, ebpf.redirecting(stage.ifindex(before)))
        before = name
    begin()
    sent = stage.send(before, [frame()] * N)
    return Loss(sent, len(stage.drain(tap.fds[0])), TX_DROPPED)


def _to_neighbour(program: Callable[[int], bytes]) -> tuple[Tap, Tap]:
    """Make a tap `in0` whose frames go on to the neighbour that their route says, by way of vnet0."""
    out = Tap("vnet0", tx_queue_len=0)
    entrance = Tap("in0", vnet_hdr=False)
    stage.tc_program("in0", program(stage.ifindex("vnet0")), ebpf.ATTACH_TCX_INGRESS)
    return entrance, out


@TRIGGERS.at("filter.__bpf_redirect_neigh_v4.no_route")
def neighbour_without_route(begin: Begin) -> Loss:
    packet = frame(ethertype=stage.IPV4, payload=stage.ipv4(stage.udp(), to="255.255.255.255"))
    entrance, out = _to_neighbour(ebpf.redirecting_to_neighbour)
    begin()
    assert stage.write(entrance.fds[0], [packet] * N) == 0
    return Loss(N, len(stage.drain(out.fds[0])), TX_DROPPED, protocols=IP_ONLY)


@TRIGGERS.at("filter.__bpf_redirect_neigh_v4.output_failed")
def neighbour_output_failed(begin: Begin) -> Loss:
    packet = frame(ethertype=stage.IPV4, payload=stage.ipv4(stage.udp()))
    entrance, out = _to_neighbour(ebpf.redirecting_to_neighbour)
    stage.tool("tc", "qdisc", "add", "dev", "vnet0", "root", "noqueue")
    stage.ip("address", "add", "192.0.2.1/24", "dev", "vnet0")
    stage.ip("neigh", "add", "192.0.2.2", "lladdr", rig.GUEST_MAC.hex(":"), "dev", "vnet0")
    begin()
    assert stage.write(entrance.fds[0], [packet] * N) == 0
    # The tap's ring has no slots: tun counts each packet, and the redirect counts it again.
    amounts = {"tap.tx_dropped": 2 * N}
    return Loss(N, len(stage.drain(out.fds[0])), TX_DROPPED, amounts=amounts, protocols=IP_ONLY)


def _ipv6(to: str) -> bytes:
    """Return a frame with a UDP datagram over IPv6."""
    addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, to)
    head = struct.pack("!IHBB", 6 << 28, 28, 17, 64) + addresses
    return frame(ethertype=stage.IPV6, payload=head + stage.udp())


@TRIGGERS.at("filter.__bpf_redirect_neigh_v6.no_route")
def neighbour_without_route_v6(begin: Begin) -> Loss:
    entrance, out = _to_neighbour(ebpf.redirecting_to_neighbour)
    begin()
    assert stage.write(entrance.fds[0], [_ipv6("2001:db8::2")] * N) == 0
    return Loss(N, len(stage.drain(out.fds[0])), TX_DROPPED, protocols=(stage.IPV6,))


@TRIGGERS.at("filter.__bpf_redirect_neigh_v6.output_failed")
def neighbour_output_failed_v6(begin: Begin) -> Loss:
    entrance, out = _to_neighbour(ebpf.redirecting_to_ipv6_neighbour)
    # Below 1280 bytes a device has no IPv6, and no neighbour can be made.
    stage.ip("link", "set", "vnet0", "mtu", "1000")
    begin()
    assert stage.write(entrance.fds[0], [_ipv6("2001:db8::2")] * N) == 0
    return Loss(N, len(stage.drain(out.fds[0])), TX_DROPPED, protocols=(stage.IPV6,))


# --- a device's entrance


@TRIGGERS.at("dev.__netif_receive_skb_core.no_handler/tap")
def no_handler_at_a_tap(begin: Begin) -> Loss:
    tap = Tap("vnet0", vnet_hdr=False)
    begin()
    assert stage.write(tap.fds[0], [frame()] * N) == 0
    return Loss(N, 0, {"tap.rx_dropped": "vnet0", "netdev.rx_dropped": "vnet0"})


def _enter(begin: Begin, packet: bytes) -> tuple[int, int]:
    """Send a frame N times to v1, and return how many were sent and how many a program got."""
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [packet] * N)
    stage.wait_for("v1", "rx_packets", N)
    return sent, listener.count()


@TRIGGERS.at("dev.__netif_receive_skb_core.no_handler/veth")
def no_handler(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    seen = _enter(begin, frame(ethertype=stage.ETHERTYPE + 1))
    return Loss(
        *seen, {"netdev.rx_dropped": "v1"}, elsewhere=("tap.rx_dropped",), protocols=(stage.ETHERTYPE + 1,)
    )


@TRIGGERS.at("dev.__netif_receive_skb_core.tag_not_removed")
def tag_cut(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    return Loss(*_enter(begin, frame(16, ethertype=stage.VLAN)), protocols=(stage.VLAN,))


@TRIGGERS.at("dev.__netif_receive_skb_core.unknown_vlan")
def unknown_vlan(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.ip("address", "add", "192.0.2.2/24", "dev", "v1")
    tagged = (5).to_bytes(2, "big") + stage.IPV4.to_bytes(2, "big") + stage.ipv4(stage.udp())
    seen = _enter(begin, frame(ethertype=stage.VLAN, payload=tagged))
    return Loss(*seen, {"netdev.rx_otherhost_dropped": "v1"}, protocols=IP_ONLY)


@TRIGGERS.at("dev.do_xdp_generic.redirect_failed")
def generic_redirect_failed(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.generic_xdp("v1", ebpf.redirecting(9999))
    return Loss(*_enter(begin, frame()))


@TRIGGERS.at("dev.netif_receive_generic_xdp.program_dropped")
def generic_xdp_dropped(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.generic_xdp("v1", ebpf.returning(ebpf.XDP_DROP))
    return Loss(*_enter(begin, frame()))


@TRIGGERS.at("dev.sch_handle_ingress.tcx_dropped")
def tcx_dropped(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.tc_program("v1", ebpf.returning(ebpf.TCX_DROP), ebpf.ATTACH_TCX_INGRESS)
    return Loss(*_enter(begin, frame()))


NETLINK_NETFILTER = 12
NFNL_SUBSYS_NFTABLES = 10
NFPROTO_NETDEV = 5
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 1, 4, 0x400
NESTED = 0x8000


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("HH", length, kind) + value + bytes(-length % 4)


def _drop_at_ingress(device: str) -> None:
    """Drop all: `nft add chain netdev t c { type filter hook ingress device …; policy drop; }`."""

    def message(kind: int, flags: int, family: int, resource: int, attributes: bytes = b"") -> bytes:
        body = struct.pack(">BBH", family, 0, resource) + attributes
        return struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body

    number = (0).to_bytes(4, "big")
    hook = _attribute(1, number) + _attribute(2, number) + _attribute(3, device.encode() + b"\0")
    chain = _attribute(1, b"t\0") + _attribute(3, b"c\0") + _attribute(4 | NESTED, hook)
    chain += _attribute(5, number) + _attribute(7, b"filter\0")
    new = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    batch = message(0x10, NLM_F_REQUEST, 0, NFNL_SUBSYS_NFTABLES)
    batch += message(NFNL_SUBSYS_NFTABLES << 8, new, NFPROTO_NETDEV, 0, _attribute(1, b"t\0"))
    batch += message(NFNL_SUBSYS_NFTABLES << 8 | 3, new, NFPROTO_NETDEV, 0, chain)
    batch += message(0x11, NLM_F_REQUEST, 0, NFNL_SUBSYS_NFTABLES)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as nft:
        nft.send(batch)
        for _ in range(2):
            (error,) = struct.unpack_from("i", nft.recv(65536), 16)
            if error:
                raise stage.NotHere(f"nf_tables: error {error}")


@TRIGGERS.at("dev.__netif_receive_skb_core.netfilter_dropped")
def netfilter_dropped(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "arp", "on")
    _drop_at_ingress("v1")
    return Loss(*_enter(begin, frame()))


# --- queueing disciplines


def _tc(arguments: str, last: str | None = None) -> None:
    """Run tc; `last` is an argument that holds blanks."""
    stage.tool("tc", *arguments.split(), *(() if last is None else (last,)))


def _queue(begin: Begin, *disciplines: str, drops: tuple[str, ...], size: int = stage.SIZE) -> Loss:
    """Send N frames into a pair whose near end has queueing disciplines, of which `drops` count the drops."""
    stage.veth("v0", "v1")
    for discipline in disciplines:
        _tc(discipline)
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame(size)] * N)
    first, *more = (f"v0 tc {kind}" for kind in drops)
    # A parent counts what its child refuses: `also` holds one more, for there are two at most.
    also = [("qdisc.drops", more[0], N)] if more else []
    return Loss(sent, listener.count(), {"qdisc.drops": first}, also=also)


@TRIGGERS.at("sch_fifo.pfifo_enqueue.full")
def pfifo_full(begin: Begin) -> Loss:
    return _queue(begin, "qdisc add dev v0 root pfifo limit 0", drops=("pfifo",))


@TRIGGERS.at("sch_fifo.bfifo_enqueue.full")
def bfifo_full(begin: Begin) -> Loss:
    return _queue(begin, "qdisc add dev v0 root bfifo limit 100", drops=("bfifo",))


@TRIGGERS.at("sch_fifo.pfifo_tail_enqueue.no_queue")
def pfifo_head_drop_without_queue(begin: Begin) -> Loss:
    return _queue(begin, "qdisc add dev v0 root pfifo_head_drop limit 0", drops=("pfifo_head_drop",))


HELD = "qdisc add dev v0 root handle 1: tbf rate 8bit burst 1600 limit 100000"
"""A bucket that never fills again: the first 1600 bytes pass, what follows is held."""
HTB = "qdisc add dev v0 root handle 1: htb default 1"
CLASS = "class add dev v0 parent 1: classid 1:1 htb rate 8kbit"


@TRIGGERS.at("sch_fifo.pfifo_tail_enqueue.oldest_dropped")
def oldest_dropped(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _tc(HELD)
    _tc("qdisc add dev v0 parent 1:1 handle 2: pfifo_head_drop limit 1")
    stage.send("v0", [frame(1500), frame(1500)])
    begin()
    sent = stage.send("v0", [frame()] * N)
    # Each newcomer takes the place of the one before it, and the parent counts that as well.
    return Loss(sent, 0, {"qdisc.drops": "v0 tc pfifo_head_drop"}, also=[("qdisc.drops", "v0 tc tbf", N)])


@TRIGGERS.at("sch_generic.pfifo_fast_enqueue.full")
def pfifo_fast_full(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.tool("ethtool", "-K", "v1", "gro", "on")
    stage.tool("ethtool", "-K", "v0", "tso", "off")
    stage.set_tx_queue_len("v0", 10)
    _tc("qdisc add dev v0 root pfifo_fast")
    stage.multiplier("vnet0", 500, "v0")
    listener = stage.Listener("v1")
    begin()
    stage.send("vnet0", [frame()])
    received = 0

    def arrived() -> bool:
        nonlocal received
        new = listener.count()
        received += new
        return received > 0 and not new

    stage.wait_until(arrived, "nothing arrives")
    return Loss(500, received, {"qdisc.drops": "v0 tc pfifo_fast"})


@TRIGGERS.at("sch_generic.pfifo_fast_enqueue.full_not_per_cpu")
def pfifo_fast_full_below(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.set_tx_queue_len("v0", 2)
    _tc(HELD)
    _tc("qdisc add dev v0 parent 1:1 handle 2: pfifo_fast")
    stage.send("v0", [frame(1500)] * 10)
    begin()
    sent = stage.send("v0", [frame()] * N)
    return Loss(sent, 0, {"qdisc.drops": "v0 tc pfifo_fast"}, also=[("qdisc.drops", "v0 tc tbf", N)])


@TRIGGERS.at("sch_generic.qdisc_reset.purged")
def purged(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _tc(HELD)
    stage.send("v0", [frame(1500)] * 2)
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame()] * N)
    _tc("qdisc del dev v0 root")
    return Loss(sent, listener.count(), protocols=(), frees=0)


@TRIGGERS.at("sch_htb.htb_enqueue.direct_full")
def htb_direct_full(begin: Begin) -> Loss:
    return _queue(begin, "qdisc add dev v0 root handle 1: htb direct_qlen 0", drops=("htb",))


@TRIGGERS.at("sch_htb.htb_enqueue.filter_dropped")
def htb_filter_dropped(begin: Begin) -> Loss:
    drop = "filter add dev v0 parent 1: protocol all bpf da bytecode"
    stage.veth("v0", "v1")
    _tc(HTB)
    _tc(CLASS)
    _tc(drop, f"1,6 0 0 {ebpf.TCX_DROP}")
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame()] * N)
    return Loss(sent, listener.count(), {"qdisc.drops": "v0 tc htb"})


@TRIGGERS.at("sch_htb.htb_enqueue.leaf_full")
def htb_leaf_full(begin: Begin) -> Loss:
    leaf = "qdisc add dev v0 parent 1:1 handle 2: pfifo limit 0"
    return _queue(begin, HTB, CLASS, leaf, drops=("htb", "pfifo"))


def _over_rate(begin: Begin, discipline: str) -> Loss:
    """Send more than the rate: what is over it waits, and nothing is lost."""
    listener = stage.Listener("v1")
    begin()
    stage.send("v0", [frame(1500)] * 10)
    passed = "qdisc.overlimits"
    stage.wait_until(lambda: listener.count() > 0, "nothing arrives")
    return Loss(10, 10, {passed: discipline}, amounts={passed: 1}, at_least=(passed,))


@TRIGGERS.at("sch_htb.htb_change_class_mode.over_rate")
def htb_over_rate(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _tc(HTB)
    _tc(CLASS)
    return _over_rate(begin, "v0 tc htb")


@TRIGGERS.at("sch_tbf.tbf_enqueue.too_long")
def tbf_too_long(begin: Begin) -> Loss:
    return _queue(
        begin, "qdisc add dev v0 root tbf rate 1mbit burst 1000 limit 1mb", drops=("tbf",), size=1400
    )


@TRIGGERS.at("sch_tbf.tbf_enqueue.queue_full")
def tbf_queue_full(begin: Begin) -> Loss:
    leaf = "qdisc add dev v0 parent 1:1 handle 2: pfifo limit 0"
    return _queue(begin, HELD, leaf, drops=("tbf", "pfifo"))


@TRIGGERS.at("sch_tbf.tbf_segment.queue_full")
def tbf_segments(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _tc(HELD)
    _tc("qdisc add dev v0 parent 1:1 handle 2: pfifo limit 2")
    stage.send("v0", [frame(1500)] * 2)
    begin()
    stage.send("v0", [stage.tcp_frame(3000)], header=stage.gso_header(1000))
    # One packet and the first segment fill the queue.
    also = [("qdisc.drops", "v0 tc pfifo", 2)]
    return Loss(3, 1, {"qdisc.drops": "v0 tc tbf"}, also=also, protocols=IP_ONLY)


@TRIGGERS.at("sch_tbf.tbf_dequeue.over_rate")
def tbf_over_rate(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _tc(HELD)
    return _over_rate(begin, "v0 tc tbf")


def _filter_drops(begin: Begin, device: str, where: str) -> Loss:
    stage.veth("v0", "v1")
    _tc(f"qdisc add dev {device} clsact")
    _tc(f"filter add dev {device} {where} protocol all bpf da bytecode", f"1,6 0 0 {ebpf.TCX_DROP}")
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame()] * N)
    stage.wait_until(lambda: device == "v0" or stage.statistic("v1", "rx_packets") >= N, "nothing arrives")
    return Loss(sent, listener.count(), {"qdisc.drops": f"{device} tc clsact"})


@TRIGGERS.at("dev.tc_run.filter_dropped/ingress")
def ingress_filter_dropped(begin: Begin) -> Loss:
    return _filter_drops(begin, "v1", "ingress")


@TRIGGERS.at("dev.tc_run.filter_dropped/egress")
def egress_filter_dropped(begin: Begin) -> Loss:
    return _filter_drops(begin, "v0", "egress")
