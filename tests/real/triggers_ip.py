# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in net/ipv4: what a guest's own stack (here: this host's) does not pass to a socket.

All packets are made by hand and come in at v1, whose address is 192.0.2.2; 192.0.2.1 is behind it.
"""

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable

import rig
import stage
from stage import IPV4, Begin, Loss, N, Triggers, frame, ipv4, udp

TRIGGERS = Triggers()
HOST = "192.0.2.2"
FAR = "192.0.2.1"
PORT = 4001
PROTOCOLS = (IPV4,)
SIOCINQ = 0x541B
SO_ATTACH_FILTER = 26
SYN, ACK = 0x02, 0x10
EVERYWHERE = ""


_open: list[object] = []
"""Sockets that must live until all has been looked at."""


def _host(*, answers: bool = False) -> None:
    """Give v1 an address. Without `answers` what it answers waits for the neighbour's address, for ever."""
    stage.veth("v0", "v1")
    stage.ip("address", "add", f"{HOST}/24", "dev", "v1")
    stage.set_sysctl("ipv4/icmp_ratelimit", "0")
    if answers:
        stage.ip("neigh", "add", FAR, "lladdr", rig.HOST_MAC.hex(":"), "dev", "v1")


def _deliver(packets: Iterable[bytes], to: bytes = rig.GUEST_MAC, ethertype: int = IPV4) -> int:
    before = stage.statistic("v1", "rx_packets")
    sent = stage.send("v0", [frame(0, to=to, ethertype=ethertype, payload=packet) for packet in packets])
    stage.wait_for("v1", "rx_packets", before + sent)
    return sent


def _refused(begin: Begin, packet: bytes, *counters: str, to: bytes = rig.GUEST_MAC) -> Loss:
    begin()
    return Loss(_deliver([packet] * N, to), 0, dict.fromkeys(counters, EVERYWHERE), protocols=PROTOCOLS)


@TRIGGERS.at("ip_input.ip_rcv_core.otherhost")
def other_host(begin: Begin) -> Loss:
    _host()
    begin()
    sent = _deliver([ipv4(udp())] * N, rig.OTHER_MAC)
    return Loss(sent, 0, {"netdev.rx_otherhost_dropped": "v1"}, protocols=PROTOCOLS)


@TRIGGERS.at("ip6_input.ip6_rcv_core.otherhost")
def other_host_v6(begin: Begin) -> Loss:
    _host()
    begin()
    sent = _deliver([bytes([0x60]) + bytes(59)] * N, rig.OTHER_MAC, stage.IPV6)
    return Loss(sent, 0, {"netdev.rx_otherhost_dropped": "v1"}, protocols=(stage.IPV6,))


@TRIGGERS.at("ip_input.ip_rcv_core.bad_header")
def bad_header(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), words=4), "ip.in_hdr_errors")


@TRIGGERS.at("ip_input.ip_rcv_core.bad_checksum")
def bad_header_checksum(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), good=False), "ip.in_hdr_errors", "ip.in_csum_errors")


@TRIGGERS.at("ip_input.ip_rcv_core.truncated")
def truncated(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), cut=10), "ip.in_truncated_pkts")


@TRIGGERS.at("ip_input.ip_rcv_options.bad_options")
def bad_options(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), options=bytes([0x07, 0, 0, 0])), "ip.in_hdr_errors")


@TRIGGERS.at("ip_input.ip_rcv_options.source_route")
def source_route(begin: Begin) -> Loss:
    _host()
    route = bytes([0x83, 7, 4]) + socket.inet_aton("192.0.2.9") + bytes(1)
    return _refused(begin, ipv4(udp(), options=route))


@TRIGGERS.at("ip_input.ip_rcv_finish_core.reverse_path")
def reverse_path(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv4/conf/v1/rp_filter", "1")
    return _refused(begin, ipv4(udp(), source="198.51.100.1"), "tcp.ip_reverse_path_filter")


@TRIGGERS.at("ip_input.ip_rcv_finish_core.unicast_in_multicast_frame")
def unicast_in_broadcast(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv4/conf/v1/drop_unicast_in_l2_multicast", "1")
    return _refused(begin, ipv4(udp()), to=stage.BROADCAST)


@TRIGGERS.at("route.ip_route_input_rcu.not_joined")
def group_not_joined(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), to="239.1.2.3"), to=bytes.fromhex("01005e010203"))


@TRIGGERS.at("ip6_input.ip6_mc_input.not_joined")
def group_not_joined_v6(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv6/conf/v1/disable_ipv6", "0")
    source, group = (socket.inet_pton(socket.AF_INET6, name) for name in ("2001:db8::1", "ff15::1234"))
    datagram = struct.pack("!IHBB", 6 << 28, 8, socket.IPPROTO_UDP, 64) + source + group + bytes(8)
    begin()
    sent = _deliver([datagram] * N, bytes.fromhex("333300001234"), stage.IPV6)
    return Loss(sent, 0, {}, protocols=(stage.IPV6,))


@TRIGGERS.at("ip_input.ip_protocol_deliver_rcu.unknown_protocol")
def unknown_protocol(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(bytes(20), protocol=200), "ip.in_unknown_protos")


@TRIGGERS.at("ip_input.ip_protocol_deliver_rcu.policy")
def blocked_by_policy(begin: Begin) -> Loss:
    _host()
    _block()
    # TCP, UDP and ICMP ask for themselves; IGMP is asked for here.
    return _refused(begin, ipv4(bytes(20), protocol=2))


def _block() -> None:
    stage.ip("xfrm", "policy", "add", "dir", "in", "src", FAR, "dst", HOST, "action", "block")


@TRIGGERS.at("ip_forward.ip_forward.ttl_expired")
def ttl_expired(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv4/ip_forward", "1")
    stage.ip("route", "add", "198.51.100.0/24", "via", FAR)
    return _refused(begin, ipv4(udp(), to="198.51.100.1", ttl=1), "ip.in_hdr_errors")


@TRIGGERS.at("route.ip_error.not_our_address")
def not_our_address(begin: Begin) -> Loss:
    _host()
    return _refused(begin, ipv4(udp(), to="198.51.100.1"), "ip.in_addr_errors")


@TRIGGERS.at("route.ip_error.no_route")
def no_route(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv4/ip_forward", "1")
    stage.ip("route", "add", "throw", "198.51.100.0/24")
    return _refused(begin, ipv4(udp(), to="198.51.100.1"), "ip.in_no_routes")


@TRIGGERS.at("route.ip_error.no_route_to_forward")
def no_route_to_forward(begin: Begin) -> Loss:
    _host()
    stage.set_sysctl("ipv4/ip_forward", "1")
    return _refused(begin, ipv4(udp(), to="198.51.100.1"), "ip.in_no_routes")


# --- UDP


def _receiver() -> socket.socket:
    _host()
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((HOST, PORT))
    receiver.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return receiver


def _read(receiver: socket.socket) -> int:
    received = 0
    while True:
        try:
            receiver.recv(2048)
        except BlockingIOError:
            return received
        received += 1


def _counts(*names: str) -> dict[str, str]:
    return {f"udp.{name}": EVERYWHERE for name in names}


GOOD = ipv4(udp(bytes(1000), port=PORT))
BAD_CHECKSUM = ipv4(udp(port=PORT, check=0x1234))


@TRIGGERS.at("udp.__udp_queue_rcv_skb.socket_full")
def receive_buffer_full(begin: Begin) -> Loss:
    receiver = _receiver()
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    begin()
    sent = _deliver([GOOD] * 20)
    return Loss(sent, _read(receiver), _counts("rcvbuf_errors", "in_errors"), protocols=PROTOCOLS)


def _filter(receiver: socket.socket, keep: int) -> None:
    """Attach a classic BPF program that keeps so many bytes of each packet."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, keep), 8)
    attached = struct.pack("H6xQ", 1, ctypes.addressof(program))
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, attached)


@TRIGGERS.at("udp.udp_queue_rcv_one_skb.socket_filter")
def udp_socket_filter(begin: Begin) -> Loss:
    receiver = _receiver()
    _filter(receiver, 0)
    begin()
    return Loss(_deliver([GOOD] * N), _read(receiver), _counts("in_errors"), protocols=PROTOCOLS)


@TRIGGERS.at("udp.udp_queue_rcv_one_skb.policy")
def udp_policy(begin: Begin) -> Loss:
    receiver = _receiver()
    _block()
    begin()
    return Loss(_deliver([GOOD] * N), _read(receiver), _counts("in_errors"), protocols=PROTOCOLS)


CHECKSUM_COUNTERS = _counts("in_errors", "in_csum_errors")


@TRIGGERS.at("udp.udp_queue_rcv_one_skb.bad_checksum")
def bad_checksum_with_filter(begin: Begin) -> Loss:
    receiver = _receiver()
    _filter(receiver, 0xFFFF)
    begin()
    return Loss(_deliver([BAD_CHECKSUM] * N), _read(receiver), CHECKSUM_COUNTERS, protocols=PROTOCOLS)


@TRIGGERS.at("udp.__first_packet_length.bad_checksum")
def bad_checksum_when_asked(begin: Begin) -> Loss:
    receiver = _receiver()
    begin()
    sent = _deliver([BAD_CHECKSUM] * N)
    fcntl.ioctl(receiver, SIOCINQ, bytes(4))
    return Loss(sent, _read(receiver), CHECKSUM_COUNTERS, protocols=PROTOCOLS)


@TRIGGERS.at("udp.udp_recvmsg.bad_checksum")
def bad_checksum_when_read(begin: Begin) -> Loss:
    receiver = _receiver()
    begin()
    sent = _deliver([BAD_CHECKSUM] * N)
    return Loss(sent, _read(receiver), CHECKSUM_COUNTERS, protocols=PROTOCOLS)


@TRIGGERS.at("udp.udp_recvmsg.copy_failed")
def unwritable(begin: Begin) -> Loss:
    receiver = _receiver()
    begin()
    sent = _deliver([GOOD] * N)
    recv = ctypes.CDLL(None).recv
    for _ in range(N):
        assert recv(receiver.fileno(), ctypes.c_void_p(1), ctypes.c_size_t(2000), socket.MSG_DONTWAIT) == -1
    return Loss(sent, _read(receiver), _counts("in_errors"), protocols=PROTOCOLS)


# --- TCP: the handshake


def _segment(port: int, flags: int, sequence: int, acknowledged: int = 0, to: str = HOST) -> bytes:
    """Return an IP packet with a TCP segment from FAR."""
    bare = struct.pack("!HHIIBBHHH", port, PORT, sequence, acknowledged, 0x50, flags, 1000, 0, 0)
    pseudo = socket.inet_aton(FAR) + socket.inet_aton(to) + struct.pack("!BBH", 0, 6, len(bare))
    check = stage.checksum(pseudo + bare).to_bytes(2, "big")
    return ipv4(bare[:16] + check + bare[18:], protocol=6, to=to)


def _syn(port: int, to: str = HOST) -> bytes:
    return _segment(port, SYN, 1000, to=to)


def _listening(backlog: int) -> stage.Listener:
    """Make a listening socket, and a view of what it answers."""
    _host(answers=True)
    stage.set_sysctl("ipv4/tcp_syncookies", "0")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("0.0.0.0", PORT))  # noqa: S104 - of a namespace of its own
    listening.listen(backlog)
    _open.append(listening)
    return stage.Listener("v0", IPV4)


def _half_open(answers: stage.Listener, port: int) -> int:
    """Send a SYN and return the sequence number of the answer."""
    answers.take()
    _deliver([_syn(port)])
    seen: list[bytes] = []

    def answered() -> bool:
        seen.extend(answers.take())
        return bool(seen)

    stage.wait_until(answered, "no answer to a SYN")
    return int.from_bytes(seen[0][38:42], "big")


def _finish(answers: stage.Listener, port: int) -> None:
    _deliver([_segment(port, ACK, 1001, _half_open(answers, port) + 1)])


TCP_LISTEN = {"tcp.listen_overflows": EVERYWHERE, "tcp.listen_drops": EVERYWHERE}
# A SYN that is dropped is consumed: skb:kfree_skb does not show it.
DROPS = {"tcp.listen_drops": EVERYWHERE}


@TRIGGERS.at("tcp_input.tcp_conn_request.accept_queue_full")
def accept_queue_full(begin: Begin) -> Loss:
    answers = _listening(0)
    _finish(answers, 5000)
    begin()
    return Loss(_deliver(_syn(5001 + number) for number in range(N)), 0, TCP_LISTEN, frees=0)


@TRIGGERS.at("tcp_ipv4.tcp_v4_syn_recv_sock.accept_queue_full")
def accept_queue_full_at_the_end(begin: Begin) -> Loss:
    answers = _listening(2)
    late = [(port, _half_open(answers, port)) for port in (5001, 5002)]
    for port in (5003, 5004, 5005):
        _finish(answers, port)
    begin()
    sent = _deliver(_segment(port, ACK, 1001, sequence + 1) for port, sequence in late)
    return Loss(sent, 0, TCP_LISTEN, protocols=PROTOCOLS)


@TRIGGERS.at("tcp_input.tcp_conn_request.syn_queue_full")
def syn_queue_full(begin: Begin) -> Loss:
    _listening(1)
    _deliver(_syn(5000 + number) for number in range(4))
    begin()
    sent = _deliver(_syn(5010 + number) for number in range(N))
    also = [("tcp.req_q_full_drop", EVERYWHERE, N)]
    return Loss(sent, 0, DROPS, also=also, frees=0)


@TRIGGERS.at("tcp_input.tcp_conn_request.reserved_for_known")
def reserved_for_known(begin: Begin) -> Loss:
    answers = _listening(100)
    stage.set_sysctl("ipv4/tcp_max_syn_backlog", "4")
    for port in range(5000, 5004):
        _half_open(answers, port)
    begin()
    sent = _deliver(_syn(5010 + number) for number in range(N))
    return Loss(sent, 0, DROPS, frees=0)


@TRIGGERS.at("tcp_ipv4.tcp_v4_conn_request.broadcast")
def syn_to_broadcast(begin: Begin) -> Loss:
    _listening(100)
    begin()
    return Loss(_deliver([_syn(5000, "192.0.2.255")] * N), 0, DROPS, frees=0)


@TRIGGERS.at("tcp_ipv4.tcp_req_err.unreachable")
def client_unreachable(begin: Begin) -> Loss:
    answers = _listening(100)
    sequence = _half_open(answers, 5000)
    begin()
    answer = struct.pack("!HHI", PORT, 5000, sequence)
    refused = ipv4(answer + bytes(12), protocol=6, source=HOST, to=FAR)
    message = struct.pack("!BBHI", 3, 1, 0, 0) + refused
    check = stage.checksum(message).to_bytes(2, "big")
    _deliver([ipv4(message[:2] + check + message[4:], protocol=1)])
    return Loss(1, 0, DROPS, frees=0)
