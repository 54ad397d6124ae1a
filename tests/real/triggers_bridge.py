# SPDX-License-Identifier: Apache-2.0
"""Triggers of the sites in net/bridge: between two taps of one bridge."""

import socket
import struct

import rig
import stage
from rig import Tap
from stage import Begin, Loss, N, Triggers, frame

TRIGGERS = Triggers()
PAUSE = bytes.fromhex("0180c2000001")
LLDP_ADDRESS = bytes.fromhex("0180c200000e")
LLDP = 0x88CC
IP = 0x0800


def _bridge() -> tuple[Tap, Tap]:
    """Make a bridge of two taps, vnet0 and vnet1, of which the second leads to GUEST_MAC."""
    stage.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    stage.ip("link", "set", "br0", "up")
    taps = Tap("vnet0", vnet_hdr=False), Tap("vnet1", vnet_hdr=False)
    for tap in taps:
        stage.ip("link", "set", tap.name, "master", "br0")
    stage.tool("bridge", "fdb", "replace", rig.GUEST_MAC.hex(":"), "dev", "vnet1", "master", "static")
    assert stage.write(taps[0].fds[0], [frame()]) == 0
    assert len(stage.drain(taps[1].fds[0])) == 1
    return taps


def _through(begin: Begin, packet: bytes, *settings: tuple[str, ...]) -> Loss:
    """Write a frame N times into vnet0 and see what comes out of vnet1."""
    first, second = _bridge()
    for setting in settings:
        stage.tool(*setting)
    begin()
    assert stage.write(first.fds[0], [packet] * N) == 0
    return Loss(N, len(stage.drain(second.fds[0])))


def _port(device: str, *settings: str) -> tuple[str, ...]:
    return ("bridge", "link", "set", "dev", device, *settings)


@TRIGGERS.at("br_forward.br_dev_queue_push_xmit.not_forwardable")
def over_mtu(begin: Begin) -> Loss:
    return _through(begin, frame(1400), ("ip", "link", "set", "vnet1", "mtu", "1000"))


@TRIGGERS.at("br_forward.br_forward.not_delivered")
def isolated(begin: Begin) -> Loss:
    ports = [_port(device, "isolated", "on") for device in ("vnet0", "vnet1")]
    return _through(begin, frame(), *ports)


@TRIGGERS.at("br_forward.br_flood.no_port")
def not_flooded(begin: Begin) -> Loss:
    return _through(begin, frame(to=rig.OTHER_MAC), _port("vnet1", "flood", "off"))


def _flooded(begin: Begin, *settings: tuple[str, ...]) -> Loss:
    """Flood N frames from vnet0 to vnet1 and vnet2, of which the settings leave out vnet1."""
    first, second = _bridge()
    third = Tap("vnet2", vnet_hdr=False)
    stage.ip("link", "set", third.name, "master", "br0")
    for setting in settings:
        stage.tool(*setting)
    begin()
    assert stage.write(first.fds[0], [frame(to=rig.OTHER_MAC)] * N) == 0
    assert len(stage.drain(third.fds[0])) == N
    return Loss(N, len(stage.drain(second.fds[0])), frees=0)


@TRIGGERS.at("br_forward.maybe_deliver.not_delivered")
def left_out_as_isolated(begin: Begin) -> Loss:
    return _flooded(begin, *(_port(device, "isolated", "on") for device in ("vnet0", "vnet1")))


@TRIGGERS.at("br_forward.br_flood.flood_off")
def left_out_as_not_flooded(begin: Begin) -> Loss:
    return _flooded(begin, _port("vnet1", "flood", "off"))


@TRIGGERS.at("br_input.br_handle_frame_finish.bad_group_report")
def bad_group_report(begin: Begin) -> Loss:
    group = bytes((239, 1, 1, 1))
    report = bytes((0x16, 0, 0xBA, 0xD0)) + group
    addresses = bytes((192, 0, 2, 1)) + group
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(report), 0, 0, 1, socket.IPPROTO_IGMP, 0) + addresses
    header = header[:10] + stage.checksum(header).to_bytes(2, "big") + header[12:]
    packet = frame(to=bytes.fromhex("01005e010101"), ethertype=IP, payload=header + report)
    first, second = _bridge()
    stage.ip("link", "set", "br0", "type", "bridge", "mcast_snooping", "1")
    begin()
    assert stage.write(first.fds[0], [packet] * N) == 0
    # The bridge itself joins groups when snooping begins; its reports are not what is lost here.
    return Loss(N, stage.drain(second.fds[0]).count(packet), protocols=(IP,))


@TRIGGERS.at("br_input.br_handle_frame.bad_source")
def bad_source(begin: Begin) -> Loss:
    return _through(begin, frame(source=bytes(6)))


@TRIGGERS.at("br_input.br_handle_frame.pause_frame")
def pause_frame(begin: Begin) -> Loss:
    return _through(begin, frame(to=PAUSE))


@TRIGGERS.at("br_input.br_handle_frame.blocked")
def blocked(begin: Begin) -> Loss:
    return _through(begin, frame(), _port("vnet0", "state", "1"))


@TRIGGERS.at("br_input.br_handle_frame_finish.learning")
def learning(begin: Begin) -> Loss:
    return _through(begin, frame(), _port("vnet0", "state", "2"))


@TRIGGERS.at("br_input.br_handle_frame_finish.locked")
def locked(begin: Begin) -> Loss:
    return _through(begin, frame(source=rig.OTHER_MAC), _port("vnet0", "locked", "on", "learning", "off"))


@TRIGGERS.at("dev.__netif_receive_skb_core.no_handler/bridge-port")
def link_local(begin: Begin) -> Loss:
    first, second = _bridge()
    begin()
    assert stage.write(first.fds[0], [frame(to=LLDP_ADDRESS, ethertype=LLDP)] * N) == 0
    counts = {"tap.rx_dropped": "vnet0", "netdev.rx_dropped": "vnet0"}
    return Loss(N, len(stage.drain(second.fds[0])), counts, protocols=(LLDP,))
