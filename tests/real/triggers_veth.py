# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in veth.c, and of the receive queue that a veth pair goes through."""

import ebpf
import stage
from stage import Begin, Loss, N, Triggers, frame

TRIGGERS = Triggers()
BURST = 1500
"""More packets than the queue of a CPU takes (net.core.netdev_max_backlog, 1000) or a veth's ring, 256."""


@TRIGGERS.at("netdevice.____dev_forward_skb.not_forwardable")
def over_mtu(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "mtu", "1400")
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame(1500)] * N)
    return Loss(
        sent,
        listener.count(),
        {"veth.rx_dropped": "v1", "netdev.rx_dropped": "v1", "veth.tx_dropped": "v0"},
    )


@TRIGGERS.at("veth.veth_xmit.receive_queue_full")
def receive_queue_full(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.multiplier("vnet0", BURST, "v0")
    listener = stage.Listener("v1")
    begin()
    stage.send("vnet0", [frame()])
    received = _all(listener)
    lost = BURST - received
    return Loss(
        BURST,
        received,
        {"veth.tx_dropped": "v0"},
        also=[("netdev.rx_dropped", "v1", lost), ("softnet.dropped", "", lost)],
    )


def _all(listener: stage.Listener) -> int:
    """Count what arrives until all of the burst has been received or dropped at v1."""
    received = 0

    def settled() -> bool:
        nonlocal received
        received += listener.count()
        return received + stage.statistic("v0", "tx_dropped") == BURST

    stage.wait_until(settled, "the burst does not end")
    return received


@TRIGGERS.at("dev.enqueue_to_backlog.backlog_full/veth")
def backlog_full(begin: Begin) -> Loss:
    loss = receive_queue_full(begin)
    return Loss(
        loss.sent,
        loss.received,
        {"softnet.dropped": "", "netdev.rx_dropped": "v1"},
        elsewhere=("tap.rx_dropped",),
        also=[("veth.tx_dropped", "v0", loss.lost)],
    )


@TRIGGERS.at("dev.net_rx_action.squeezed")
def squeezed(begin: Begin) -> Loss:
    # One run asks each receive queue once, for at most 64 packets; five queues use up the budget of 300.
    pairs = [(f"v{number}", f"w{number}") for number in range(6)]
    for near, far in pairs:
        _with_napi(near, far)
    stage.multiplier("vnet0", 100, *(near for near, _ in pairs))
    listeners = [stage.Listener(far) for _, far in pairs]
    begin()
    stage.send("vnet0", [frame()])
    for _, far in pairs:
        stage.wait_for(far, "rx_packets", 100)
    received = sum(listener.count() for listener in listeners)
    return Loss(
        600, received, {"softnet.time_squeeze": ""}, amounts={"softnet.time_squeeze": 1}, protocols=()
    )


def _with_napi(near: str, far: str) -> None:
    """Make a pair whose far end has a receive queue of its own."""
    stage.veth(near, far)
    stage.tool("ethtool", "-K", far, "gro", "on")
    stage.tool("ethtool", "-K", near, "tso", "off")


@TRIGGERS.at("veth.veth_xdp_rx.ring_full")
def napi_ring_full(begin: Begin) -> Loss:
    _with_napi("v0", "v1")
    stage.multiplier("vnet0", BURST, "v0")
    listener = stage.Listener("v1")
    begin()
    stage.send("vnet0", [frame()])
    return Loss(BURST, _all(listener), {"veth.tx_dropped": "v0"})


def _redirecting_pair(target: str, *, mtu: int = 1500) -> None:
    """Make a pair x0-x1 whose program sends everything out of `target`."""
    stage.veth("x0", "x1", mtu=mtu)
    stage.native_xdp("x1", ebpf.redirecting(stage.ifindex(target)))


def _redirect(size: int = stage.SIZE) -> int:
    """Send N frames into the redirecting pair, each by itself."""
    for number in range(1, N + 1):
        stage.send("x0", [frame(size)])
        stage.wait_for("x1", "rx_packets", number)
    return N


@TRIGGERS.at("veth.veth_xdp_xmit.ring_full")
def redirected_too_long(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _redirecting_pair("v0")
    stage.native_xdp("v1", ebpf.returning(ebpf.XDP_PASS))
    stage.ip("link", "set", "v1", "mtu", "1000")
    listener = stage.Listener("v1")
    begin()
    sent = _redirect(1400)
    also = [("veth.tx_queue_xdp_xmit_errors", "v0", N)]
    counts = {"veth.tx_dropped": "v0", "veth.rx_dropped": "v1"}
    return Loss(sent, listener.count(), counts, also=also, frees=0)


@TRIGGERS.at("veth.veth_ndo_xdp_xmit.not_ready")
def redirected_to_a_plain_pair(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    # With GRO asked for, the pair offers to take frames; with the other end down it cannot.
    stage.tool("ethtool", "-K", "v1", "gro", "on")
    _redirecting_pair("v0")
    stage.ip("link", "set", "v1", "down")
    listener = stage.Listener("v1")
    begin()
    return Loss(_redirect(), listener.count(), {"veth.tx_dropped": "v0"}, frees=0)


@TRIGGERS.at("veth.veth_xdp_flush_bq.not_sent")
def sent_back_to_a_plain_end(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    stage.native_xdp("v1", ebpf.returning(ebpf.XDP_TX))
    listener = stage.Listener("v0")
    begin()
    sent = stage.send("v0", [frame()] * N)
    stage.wait_for("v1", "rx_packets", N)
    counts = {"veth.tx_dropped": "v1", "veth.rx_dropped": "v0"}
    also = [("veth.rx_queue_xdp_tx_errors", "v1", N)]
    return Loss(sent, listener.count(), counts, also=also, frees=0)


def _end_with(program: bytes, begin: Begin) -> tuple[int, int]:
    """Send N frames to an end with an XDP program, and return how many were sent and how many arrived."""
    stage.veth("v0", "v1")
    stage.native_xdp("v1", program)
    listener = stage.Listener("v1")
    begin()
    sent = stage.send("v0", [frame()] * N)
    stage.wait_for("v1", "rx_packets", N)
    return sent, listener.count()


RX_DROPPED = {"veth.rx_dropped": "v1"}
QUEUE_DROPS = [("veth.rx_queue_drops", "v1", N)]
XDP_DROPS = [("veth.rx_queue_xdp_drops", "v1", N)]


@TRIGGERS.at("veth.veth_xdp_rcv_skb.redirect_failed")
def redirected_to_nowhere(begin: Begin) -> Loss:
    return Loss(*_end_with(ebpf.redirecting(9999), begin), RX_DROPPED, also=QUEUE_DROPS, frees=0)


@TRIGGERS.at("veth.veth_xdp_rcv_skb.program_dropped")
def program_dropped(begin: Begin) -> Loss:
    return Loss(*_end_with(ebpf.returning(ebpf.XDP_DROP), begin), also=XDP_DROPS)


def _redirected_to_an_end_with(program: bytes, begin: Begin) -> tuple[int, int]:
    """Redirect N frames to an end with an XDP program: they arrive as frames and not as packets."""
    stage.veth("v0", "v1")
    stage.native_xdp("v1", program)
    _redirecting_pair("v0")
    listener = stage.Listener("v1")
    begin()
    sent = _redirect()
    stage.wait_for("v1", "rx_packets", N)
    return sent, listener.count()


@TRIGGERS.at("veth.veth_xdp_rcv_one.redirect_failed")
def frame_redirected_to_nowhere(begin: Begin) -> Loss:
    seen = _redirected_to_an_end_with(ebpf.redirecting(9999), begin)
    return Loss(*seen, RX_DROPPED, also=QUEUE_DROPS, frees=0)


@TRIGGERS.at("veth.veth_xdp_rcv_one.program_dropped")
def program_dropped_frame(begin: Begin) -> Loss:
    seen = _redirected_to_an_end_with(ebpf.returning(ebpf.XDP_DROP), begin)
    return Loss(*seen, also=XDP_DROPS, frees=0)
