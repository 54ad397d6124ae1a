# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in tun.c: what a tap loses on its way to the guest, and from the guest."""

import ctypes
import fcntl
import os
import struct
from collections.abc import Callable

import ebpf
import rig
import stage
from rig import Tap
from stage import SIZE, Begin, Loss, N, Triggers, frame

TRIGGERS = Triggers()
TO_GUEST = {"tap.tx_dropped": "vnet0"}
FROM_GUEST = {"tap.rx_dropped": "vnet0"}


def _refuse(tap: Tap, begin: Begin) -> Loss:
    """Send N frames to a tap that takes none."""
    begin()
    sent = stage.send(tap.name, [frame()] * N)
    received = sum(len(stage.drain(fd)) for fd in tap.fds)
    return Loss(sent, received, TO_GUEST)


@TRIGGERS.at("tun.tun_net_xmit.no_queue")
def queue_detached(begin: Begin) -> Loss:
    tap = Tap("vnet0", queues=2)
    tap.detach_queues()
    return _refuse(tap, begin)


@TRIGGERS.at("tun.tun_net_xmit.tx_filter")
def address_filter(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    tap.set_address_filter(rig.OTHER_MAC)
    return _refuse(tap, begin)


@TRIGGERS.at("tun.tun_net_xmit.socket_filter")
def socket_filter(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    tap.attach_dropping_socket_filter()
    return _refuse(tap, begin)


def _set_ebpf_filter(tap: Tap, keep: int) -> None:
    program = ebpf.load(ebpf.SOCKET_FILTER, ebpf.returning(keep))
    fcntl.ioctl(tap.fds[0], rig.TUNSETFILTEREBPF, struct.pack("i", program))
    os.close(program)


@TRIGGERS.at("tun.tun_net_xmit.ebpf_filter")
def ebpf_filter(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    _set_ebpf_filter(tap, 0)
    return _refuse(tap, begin)


@TRIGGERS.at("tun.tun_net_xmit.ebpf_truncate")
def ebpf_truncate(begin: Begin) -> Loss:
    tap = Tap("vnet0", vnet_hdr=False)
    _set_ebpf_filter(tap, 20)
    begin()
    sent = stage.send("vnet0", [frame()] * N)
    cut = stage.drain(tap.fds[0])
    assert [len(each) for each in cut] == [20] * N
    return Loss(sent, 0, frees=0)


@TRIGGERS.at("filter.sk_filter_trim_cap.truncate")
def socket_filter_truncate(begin: Begin) -> Loss:
    tap = Tap("vnet0", vnet_hdr=False)
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 20), 8)
    fcntl.ioctl(tap.fds[0], rig.TUNATTACHFILTER, struct.pack("H6xQ", 1, ctypes.addressof(program)))
    begin()
    sent = stage.send("vnet0", [frame()] * N)
    assert [len(each) for each in stage.drain(tap.fds[0])] == [20] * N
    return Loss(sent, 0, frees=0)


@TRIGGERS.at("tun.tun_net_xmit.ring_full/full")
def ring_full(begin: Begin) -> Loss:
    tap = Tap("vnet0", tx_queue_len=10)
    begin()
    sent = stage.send("vnet0", [frame()] * 30)
    return Loss(sent, len(stage.drain(tap.fds[0])), TO_GUEST)


@TRIGGERS.at("tun.tun_net_xmit.ring_full/size-zero")
def ring_of_size_zero(begin: Begin) -> Loss:
    tap = Tap("vnet0", tx_queue_len=0)
    return _refuse(tap, begin)


@TRIGGERS.at("tun.tun_xdp_xmit.ring_full/redirected")
def xdp_ring_full(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    tap = Tap("vnet0", tx_queue_len=10)
    stage.native_xdp("v1", ebpf.redirecting(stage.ifindex("vnet0")))
    begin()
    # One at a time: of a batch only the first refused frame counts.
    for number in range(1, 16):
        stage.send("v0", [frame()])
        stage.wait_for("v1", "rx_packets", number)
    return Loss(15, len(stage.drain(tap.fds[0])), TO_GUEST, frees=0)


def _persistent() -> None:
    """Make a tap that lives on without an open file."""
    with Tap("vnet0") as tap:
        tap.set_persistent()
    stage.wait_for_state("vnet0", "down")


@TRIGGERS.at("tun.tun_xdp_xmit.no_queue")
def xdp_no_queue(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    _persistent()
    stage.native_xdp("v1", ebpf.redirecting(stage.ifindex("vnet0")))
    begin()
    sent = stage.send("v0", [frame()] * N)
    stage.wait_for("v1", "rx_packets", N)
    return Loss(sent, 0, frees=0)


@TRIGGERS.at("sch_generic.noop_enqueue.drop/no-reader")
def no_reader(begin: Begin) -> Loss:
    _persistent()
    begin()
    return Loss(stage.send("vnet0", [frame()] * N), 0, TO_GUEST)


@TRIGGERS.at("sch_generic.noop_enqueue.drop/carrier-off")
def carrier_off(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    fcntl.ioctl(tap.fds[0], stage.TUNSETCARRIER, struct.pack("i", 0))
    stage.wait_for_state("vnet0", "down")
    return _refuse(tap, begin)


@TRIGGERS.at("tun.tun_queue_purge.queued/closed")
def file_closed(begin: Begin) -> Loss:
    _persistent()
    with Tap("vnet0"):
        begin()
        sent = stage.send("vnet0", [frame()] * N)
    return Loss(sent, 0)


@TRIGGERS.at("tun.tun_queue_purge.queued/detached")
def detached_with_queued(begin: Begin) -> Loss:
    tap = Tap("vnet0", queues=2)
    begin()
    sent = stage.send("vnet0", [frame()] * N)
    tap.detach_queues()
    return Loss(sent, sum(len(_drain_detached(fd)) for fd in tap.fds))


def _drain_detached(fd: int) -> list[bytes]:
    """Attach a queue again and read what is left in it."""
    fcntl.ioctl(fd, rig.TUNSETQUEUE, struct.pack("16sH22x", b"", rig.IFF_ATTACH_QUEUE))
    return stage.drain(fd)


@TRIGGERS.at("tun.tun_queue_resize.shrunk")
def ring_shrunk(begin: Begin) -> Loss:
    tap = Tap("vnet0", tx_queue_len=20)
    begin()
    sent = stage.send("vnet0", [frame()] * 20)
    tap.set_tx_queue_len(10)
    return Loss(sent, len(stage.drain(tap.fds[0])))


@TRIGGERS.at("tun.tun_do_read.put_user_failed")
def read_without_room(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    begin()
    sent = stage.send("vnet0", [frame()] * N)
    for _ in range(N):
        try:
            os.read(tap.fds[0], 5)
        except OSError:
            continue
    return Loss(sent, len(stage.drain(tap.fds[0])))


@TRIGGERS.at("tun.tun_put_user.dequeued")
def read_whole(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    begin()
    stage.send("vnet0", [frame()] * N)
    frames = stage.drain(tap.fds[0])
    assert [len(each) for each in frames] == [SIZE + 10] * N
    return Loss(
        N,
        N,
        {"tap.tx_packets": "vnet0", "tap.tx_bytes": "vnet0"},
        amounts={"tap.tx_packets": N, "tap.tx_bytes": N * SIZE},
    )


@TRIGGERS.at("tun.tun_put_user_xdp.dequeued")
def read_redirected(begin: Begin) -> Loss:
    stage.veth("v0", "v1")
    tap = Tap("vnet0")
    stage.native_xdp("v1", ebpf.redirecting(stage.ifindex("vnet0")))
    begin()
    stage.send("v0", [frame()] * N)
    stage.wait_for("v1", "rx_packets", N)
    frames: list[bytes] = []

    def all_read() -> bool:
        frames.extend(stage.drain(tap.fds[0]))
        return len(frames) == N

    stage.wait_until(all_read, "frames missing")
    return Loss(
        N,
        N,
        {"tap.tx_packets": "vnet0", "tap.tx_bytes": "vnet0"},
        amounts={"tap.tx_packets": N, "tap.tx_bytes": N * (SIZE + 10)},
    )


@TRIGGERS.at("tun.tun_put_user.short_read")
def read_short(begin: Begin) -> Loss:
    tap = Tap("vnet0", vnet_hdr=False)
    begin()
    sent = stage.send("vnet0", [frame(1000)] * N)
    frames = stage.drain(tap.fds[0], 60)
    assert [len(each) for each in frames] == [60] * N
    return Loss(sent, 0, frees=0)


# --- from the guest


def _write(packet: bytes, begin: Begin, *, refused: int, loss: Callable[[int], Loss]) -> Loss:
    """Write a packet N times to a tap with virtio-net header; the kernel refuses `refused` of them openly."""
    tap = Tap("vnet0")
    listener = stage.Listener("vnet0")
    begin()
    assert stage.write(tap.fds[0], [packet] * N) == refused
    return loss(listener.count())


ACCEPTED = {"tap.rx_packets": "vnet0", "tap.rx_bytes": "vnet0"}
ACCEPTED_AMOUNTS = {"tap.rx_packets": N, "tap.rx_bytes": N * SIZE}


@TRIGGERS.at("tun.tun_get_user.accepted")
def accepted(begin: Begin) -> Loss:
    packet = stage.NO_HEADER + frame()
    return _write(
        packet, begin, refused=0, loss=lambda received: Loss(N, received, ACCEPTED, amounts=ACCEPTED_AMOUNTS)
    )


@TRIGGERS.at("tun.tun_get_user.header_length")
def header_cut(begin: Begin) -> Loss:
    return _write(bytes(5), begin, refused=N, loss=lambda received: Loss(N, received, frees=0))


@TRIGGERS.at("tun.tun_get_user.short_frame")
def short_frame(begin: Begin) -> Loss:
    return _write(bytes(20), begin, refused=N, loss=lambda received: Loss(N, received, frees=0))


@TRIGGERS.at("tun.tun_get_user.bad_vnet_header")
def bad_vnet_header(begin: Begin) -> Loss:
    packet = stage.gso_header(100, gso_type=stage.BAD_GSO_TYPE) + frame()
    return _write(
        packet,
        begin,
        refused=N,
        loss=lambda received: Loss(N, received, {"tap.rx_frame_errors": "vnet0"}, protocols=(0,)),
    )


@TRIGGERS.at("tun.tun_get_user.copy_failed")
def unreadable_large(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    begin()
    refused = sum(stage.write_unreadable(tap.fds[0], stage.NO_HEADER + frame(), 4000) for _ in range(N))
    assert refused == N
    return Loss(N, 0, FROM_GUEST, protocols=(0,))


@TRIGGERS.at("tun.tun_get_user.build_failed")
def unreadable_small(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    os.set_blocking(tap.fds[0], False)
    begin()
    refused = sum(stage.write_unreadable(tap.fds[0], stage.NO_HEADER + frame(), 100) for _ in range(N))
    assert refused == N
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tun.tun_get_user.not_ip")
def not_ip(begin: Begin) -> Loss:
    fd = stage.open_tun("tun0", stage.IFF_TUN)
    begin()
    assert stage.write(fd, [bytes(40)] * N) == N
    return Loss(N, 0, {"tap.rx_dropped": "tun0"}, protocols=(0,))


@TRIGGERS.at("tun.tun_get_user.detached")
def written_to_a_detached_queue(begin: Begin) -> Loss:
    name, flags = "vnet0", rig.IFF_TAP | stage.IFF_NAPI | rig.IFF_MULTI_QUEUE
    first, second = stage.open_tun(name, flags), stage.open_tun(name, flags)
    fcntl.ioctl(second, rig.TUNSETQUEUE, struct.pack("16sH22x", b"", rig.IFF_DETACH_QUEUE))
    begin()
    assert stage.write(second, [frame()] * N) == N
    os.close(first)
    return Loss(N, 0)


@TRIGGERS.at("tun.tun_get_user.device_down")
def device_down(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    stage.ip("link", "set", "vnet0", "down")
    begin()
    assert stage.write(tap.fds[0], [stage.NO_HEADER + frame()] * N) == N
    return Loss(N, 0, FROM_GUEST, protocols=(0, stage.ETHERTYPE))


def _with_xdp(program: bytes, packet: bytes, begin: Begin, loss: Callable[[int], Loss]) -> Loss:
    """Write a packet N times to a tap with an XDP program, without vhost, as QEMU does."""
    tap = Tap("vnet0")
    os.set_blocking(tap.fds[0], False)
    stage.native_xdp("vnet0", program)
    listener = stage.Listener("vnet0")
    begin()
    stage.write(tap.fds[0], [packet] * N)
    return loss(listener.count())


@TRIGGERS.at("tun.tun_get_user.xdp_dropped")
def xdp_dropped_gso(begin: Begin) -> Loss:
    packet = stage.gso_header(100) + stage.tcp_frame(1000)
    return _with_xdp(
        ebpf.returning(ebpf.XDP_DROP),
        packet,
        begin,
        lambda received: Loss(N, received, protocols=(stage.IPV4,)),
    )


@TRIGGERS.at("tun.tun_xdp_act.dropped")
def xdp_dropped(begin: Begin) -> Loss:
    packet = stage.NO_HEADER + frame()
    return _with_xdp(
        ebpf.returning(ebpf.XDP_DROP), packet, begin, lambda received: Loss(N, received, FROM_GUEST, frees=0)
    )


@TRIGGERS.at("tun.tun_xdp_act.redirect_failed")
def xdp_redirected_to_nowhere(begin: Begin) -> Loss:
    packet = stage.NO_HEADER + frame()
    return _with_xdp(
        ebpf.redirecting(9999), packet, begin, lambda received: Loss(N, received, FROM_GUEST, frees=0)
    )


@TRIGGERS.at("tun.tun_xdp_act.redirected")
def xdp_redirected(begin: Begin) -> Loss:
    target = Tap("vnet1")
    packet = stage.NO_HEADER + frame()
    program = ebpf.redirecting(stage.ifindex("vnet1"))
    loss = _with_xdp(program, packet, begin, lambda _: Loss(N, N, ACCEPTED, amounts=ACCEPTED_AMOUNTS))
    assert len(stage.drain(target.fds[0])) == N
    return loss


@TRIGGERS.at("tun.tun_xdp_act.sent_back")
def xdp_sent_back_well(begin: Begin) -> Loss:
    tap = Tap("vnet0")
    os.set_blocking(tap.fds[0], False)
    stage.native_xdp("vnet0", ebpf.returning(ebpf.XDP_TX))
    begin()
    stage.write(tap.fds[0], [stage.NO_HEADER + frame()] * N)
    return Loss(N, len(stage.drain(tap.fds[0])), ACCEPTED, amounts=ACCEPTED_AMOUNTS)


@TRIGGERS.at("tun.tun_xdp_act.send_back_failed")
def xdp_sent_back(begin: Begin) -> Loss:
    tap = Tap("vnet0", queues=2)
    stage.native_xdp("vnet0", ebpf.returning(ebpf.XDP_TX))
    tap.detach_queues()
    for fd in tap.fds:
        os.set_blocking(fd, False)
    begin()
    stage.write(tap.fds[0], [stage.NO_HEADER + frame()] * N)
    return Loss(N, 0, FROM_GUEST, frees=0)


@TRIGGERS.at("tun.tun_xdp_xmit.ring_full/sent-back")
def xdp_sent_back_to_a_full_ring(begin: Begin) -> Loss:
    tap = Tap("vnet0", tx_queue_len=0)
    os.set_blocking(tap.fds[0], False)
    stage.native_xdp("vnet0", ebpf.returning(ebpf.XDP_TX))
    begin()
    stage.write(tap.fds[0], [stage.NO_HEADER + frame()] * N)
    return Loss(N, 0, TO_GUEST, frees=0)
