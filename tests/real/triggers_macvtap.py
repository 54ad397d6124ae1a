# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in tap.c and macvlan.c: a macvtap counts towards the guest as RX."""

import fcntl
import os
import struct

import rig
import stage
from stage import Begin, Loss, N, Triggers, frame

TRIGGERS = Triggers()
TO_GUEST = {"macvtap.rx_errors": "mv0", "macvtap.rx_dropped": "mv0"}
FROM_GUEST = {"macvtap.tx_dropped": "mv0"}


def _macvtap(*options: str, queue: int | None = None) -> int:
    """Make a macvtap on one end of a veth pair, and return its file; v1 is its way to the world."""
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "address", rig.HOST_MAC.hex(":"))
    stage.macvtap("mv0", "v0", *options)
    if queue is not None:
        stage.set_tx_queue_len("mv0", queue)
    return stage.open_macvtap("mv0")


def _arrive(count: int, size: int = stage.SIZE) -> int:
    """Send frames to the macvtap and wait until it has got them."""
    before = stage.statistic("mv0", "rx_packets")
    sent = stage.send("v1", [frame(size)] * count)
    stage.wait_for("mv0", "rx_packets", before + count)
    return sent


@TRIGGERS.at("tap.tap_handle_frame.ring_full")
def ring_full(begin: Begin) -> Loss:
    fd = _macvtap(queue=10)
    begin()
    sent = _arrive(30)
    return Loss(sent, len(stage.drain(fd)), TO_GUEST)


@TRIGGERS.at("tap.tap_handle_frame.segments_ring_full")
def segments_ring_full(begin: Begin) -> Loss:
    fd = _macvtap(queue=3)
    fcntl.ioctl(fd, stage.TUNSETOFFLOAD, 0)
    begin()
    stage.send("v1", [stage.tcp_frame(1000)], header=stage.gso_header(100))
    stage.wait_for("mv0", "rx_packets", 1)
    return Loss(10, len(stage.drain(fd)), protocols=(stage.IPV4,))


@TRIGGERS.at("tap.tap_handle_frame.segment_failed")
def segment_failed(begin: Begin) -> Loss:
    # A tap is the device below: a veth would have tried to cut the packet itself.
    below = rig.Tap("vnet0")
    stage.macvtap("mv0", "vnet0")
    fd = stage.open_macvtap("mv0")
    fcntl.ioctl(fd, stage.TUNSETOFFLOAD, 0)
    begin()
    assert stage.write(below.fds[0], [stage.GSO_THAT_FAILS] * N) == 0
    return Loss(N, len(stage.drain(fd)), TO_GUEST, protocols=(stage.IPV4,))


@TRIGGERS.at("tap.tap_handle_frame.no_queue")
def no_queue(begin: Begin) -> Loss:
    os.close(_macvtap())
    begin()
    sent = stage.send("v1", [frame(ethertype=stage.ARP)] * N)
    stage.wait_for("mv0", "rx_packets", N)
    return Loss(sent, 0, protocols=(stage.ARP,))


@TRIGGERS.at("tap.tap_get_user.bad_header/cut")
def header_cut(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    assert stage.write(fd, [bytes(5)] * N) == N
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tap.tap_get_user.bad_header/too-long")
def header_too_long(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    assert stage.write(fd, [stage.gso_header(100, header_length=500) + frame()] * N) == N
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tap.tap_get_user.short_frame")
def short_frame(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    assert stage.write(fd, [bytes(20)] * N) == N
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tap.tap_get_user.no_memory")
def send_buffer_full(begin: Begin) -> Loss:
    fd = _macvtap()
    # A queueing discipline that holds what it has got keeps the send buffer in use.
    stage.tool(
        "tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", "8bit", "burst", "1600", "limit", "90000"
    )
    fcntl.ioctl(fd, stage.TUNSETSNDBUF, struct.pack("i", 4000))
    packet = stage.NO_HEADER + frame(1000)
    while not stage.write(fd, [packet]):
        pass
    begin()
    assert stage.write(fd, [packet] * N) == N
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tap.tap_get_user.copy_failed")
def unreadable(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    assert sum(stage.write_unreadable(fd, stage.NO_HEADER + frame(), 1000) for _ in range(N)) == N
    return Loss(N, 0, FROM_GUEST, protocols=(0,))


@TRIGGERS.at("tap.tap_get_user.header_refused")
def header_refused(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    packet = stage.gso_header(100, gso_type=stage.BAD_GSO_TYPE) + frame()
    assert stage.write(fd, [packet] * N) == N
    return Loss(N, 0, FROM_GUEST, protocols=(0, stage.ETHERTYPE))


@TRIGGERS.at("tap.tap_get_user.device_gone")
def device_gone(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    stage.ip("link", "del", "mv0")
    assert stage.write(fd, [stage.NO_HEADER + frame()] * N) == 0
    return Loss(N, 0, protocols=(0, stage.ETHERTYPE))


@TRIGGERS.at("tap.tap_do_read.put_user_failed")
def read_without_room(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    sent = _arrive(N)
    refused = 0
    for _ in range(N):
        try:
            os.read(fd, 5)
        except OSError:
            refused += 1
    assert refused == N
    return Loss(sent, len(stage.drain(fd)))


@TRIGGERS.at("tap.tap_queue_resize.shrunk")
def ring_shrunk(begin: Begin) -> Loss:
    fd = _macvtap(queue=20)
    begin()
    sent = _arrive(20)
    stage.set_tx_queue_len("mv0", 10)
    return Loss(sent, len(stage.drain(fd)))


@TRIGGERS.at("tap.tap_sock_destruct.queued")
def file_closed(begin: Begin) -> Loss:
    fd = _macvtap()
    begin()
    sent = _arrive(N)
    os.close(fd)
    return Loss(sent, 0)


# --- the device below


@TRIGGERS.at("macvlan.macvlan_start_xmit.lower_refused")
def lower_refused(begin: Begin) -> Loss:
    fd = _macvtap()
    stage.tool("tc", "qdisc", "add", "dev", "v0", "root", "pfifo", "limit", "0")
    listener = stage.Listener("v1")
    begin()
    stage.write(fd, [stage.NO_HEADER + frame(to=rig.HOST_MAC)] * N)
    return Loss(N, listener.count(), FROM_GUEST, also=[("qdisc.drops", "v0 tc pfifo", N)])


@TRIGGERS.at("macvlan.macvlan_handle_frame.device_down")
def down_in_passthru_mode(begin: Begin) -> Loss:
    fd = _macvtap("mode", "passthru")
    stage.ip("link", "set", "mv0", "down")
    begin()
    sent = stage.send("v1", [frame()] * N)
    stage.wait_for("v0", "rx_packets", N)
    return Loss(sent, len(stage.drain(fd)))


@TRIGGERS.at("macvlan.macvlan_broadcast_enqueue.backlog_full")
def broadcast_backlog_full(begin: Begin) -> Loss:
    fd = _macvtap("mode", "bridge", "bcqueuelen", "0")
    host = stage.Listener("v0")
    begin()
    sent = stage.send("v1", [frame(to=stage.BROADCAST)] * N)
    stage.wait_until(lambda: host.count() > 0, "the host's own copy does not arrive")
    return Loss(sent, len(stage.drain(fd)), {"netdev.rx_dropped": "v0"})


@TRIGGERS.at("macvlan.macvlan_queue_xmit.neighbour_refused")
def neighbour_refused(begin: Begin) -> Loss:
    fd = _macvtap()
    stage.macvtap("mv1", "v0", mac=rig.OTHER_MAC)
    other = stage.open_macvtap("mv1")
    stage.ip("link", "set", "v0", "mtu", "1000")
    begin()
    stage.write(fd, [stage.NO_HEADER + frame(1400, to=rig.OTHER_MAC)] * N)
    return Loss(N, len(stage.drain(other)), {"netdev.rx_dropped": "v0"})


@TRIGGERS.at("macvlan.macvlan_forward_source_one.not_delivered")
def source_mode_backlog_full(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    fds = []
    for name, mac in (("mv0", rig.GUEST_MAC), ("mv1", rig.OTHER_MAC)):
        stage.macvtap(name, "v0", "mode", "source", mac=mac)
        stage.ip("link", "set", name, "type", "macvtap", "macaddr", "add", rig.HOST_MAC.hex(":"))
        stage.set_tx_queue_len(name, 3000)
        fds.append(stage.open_macvtap(name))
    host = stage.Listener("v0")
    stage.multiplier("vnet0", 900, "v1")
    begin()
    stage.send("vnet0", [frame()])
    stage.wait_until(lambda: host.count() == 0 and stage.statistic("v0", "rx_packets") >= 900, "no burst")
    lost = [900 - len(stage.drain(fd)) for fd in fds]
    # The queue's own count of a dropped packet comes on top of the macvtap's.
    amounts = {"macvtap.rx_errors": lost[0], "macvtap.rx_dropped": 2 * lost[0]}
    also = [
        ("macvtap.rx_errors", "mv1", lost[1]),
        ("macvtap.rx_dropped", "mv1", 2 * lost[1]),
        ("softnet.dropped", "", sum(lost)),
    ]
    return Loss(sum(lost), 0, TO_GUEST, amounts=amounts, also=also)
