# SPDX-License-Identifier: Apache-2.0
"""What the generated pages are called, and in which order a reader meets them."""

from __future__ import annotations

from vnetkb_docs.words import _

LAYERS = (
    "tap",
    "macvtap",
    "netdev",
    "nic",
    "bond",
    "bridge",
    "veth",
    "vlan",
    "ovs_port",
    "ovs_vport",
    "ovs_internal",
    "ovs_datapath",
    "ovs_vswitchd",
    "qdisc",
    "softnet",
    "conntrack",
    "virtio_net",
    "netkvm",
    "windows_adapter",
    "windows_ip",
    "windows_tcp",
    "windows_udp",
    "ip",
    "ip6",
    "icmp",
    "tcp",
    "udp",
    "udp6",
    "socket",
    "netlink",
)
"""Layers along the packet's path: the host's port, its network, the guest, the protocols."""


def layer(name: str) -> str:
    """Return the title of a layer's page; a new layer is called by its name."""
    found = {
        "tap": _("Tap: the VM's port on the host (vnet)"),
        "macvtap": _("Macvtap"),
        "netdev": _("Any network device"),
        "nic": _("Physical NIC of the host"),
        "bond": _("Bond"),
        "bridge": _("Linux bridge"),
        "veth": _("Veth pair"),
        "vlan": _("VLAN device"),
        "ovs_port": _("Open vSwitch: port"),
        "ovs_vport": _("Open vSwitch: vport of the kernel"),
        "ovs_internal": _("Open vSwitch: internal port"),
        "ovs_datapath": _("Open vSwitch: datapath"),
        "ovs_vswitchd": _("Open vSwitch: daemon"),
        "qdisc": _("Queueing discipline and police (tc)"),
        "softnet": _("Softnet: packets per CPU before the stack"),
        "conntrack": _("Connection tracking"),
        "virtio_net": _("Virtio NIC of a Linux guest"),
        "netkvm": _("NetKVM: virtio NIC of a Windows guest"),
        "windows_adapter": _("Windows: network adapter"),
        "windows_ip": _("Windows: IP"),
        "windows_tcp": _("Windows: TCP"),
        "windows_udp": _("Windows: UDP"),
        "ip": _("IPv4"),
        "ip6": _("IPv6"),
        "icmp": _("ICMP"),
        "tcp": _("TCP"),
        "udp": _("UDP"),
        "udp6": _("UDP over IPv6"),
        "socket": _("Socket"),
        "netlink": _("Netlink"),
    }
    return found.get(name, name)


def area(name: str) -> str:
    """Return the title of a page of rules."""
    found = {
        "tap": _("Loss at the VM's port (tap)"),
        "advice": _("Advice: settings and alarms"),
        "corrections": _("Corrections: how to read a number"),
        "ovs": _("Open vSwitch"),
        "guest": _("Inside the guest"),
        "device": _("Host NIC, bond, veth, VLAN, packets per CPU"),
        "host": _("Host NIC, bond and CPU"),
        "nic": _("Host NIC"),
        "bridge": _("Linux bridge"),
        "stacked": _("Veth, bond, VLAN"),
        "qdisc": _("Queueing discipline and police"),
        "core": _("The kernel's transmit path"),
        "macvtap": _("Macvtap"),
        "silent": _("Loss that no counter shows"),
        "conntrack": _("Connection tracking"),
        "softnet": _("Packets per CPU before the stack"),
    }
    return found.get(name, name)


def subject(name: str) -> str:
    """Return the title of a page of facts."""
    found = {
        "tap": _("Facts of a tap"),
        "reader": _("Facts of the reader of a tap"),
        "ring": _("Facts of a tap's ring"),
        "drop": _("Facts of the loss"),
        "vcpu": _("Facts of the VM's virtual CPUs"),
        "vm": _("Facts of the VM"),
        "host": _("Facts of the host"),
        "log": _("Facts from kernel and VM logs"),
        "trace": _("Facts of a trace"),
        "guest": _("Facts of the guest"),
        "device": _("Facts of any network device"),
        "bridge": _("Facts of a Linux bridge"),
        "bond": _("Facts of a bond"),
        "lower": _("Facts of the device below"),
        "peer": _("Facts of a veth's other end"),
        "qdisc": _("Facts of a queueing discipline"),
        "softnet": _("Facts of packets per CPU before the stack"),
        "conntrack": _("Facts of connection tracking"),
        "ovs": _("Facts of Open vSwitch"),
        "datapath": _("Facts of Open vSwitch's datapath"),
        "vswitchd": _("Facts of Open vSwitch's daemon"),
        "silent": _("Facts of loss that no counter shows"),
        "counted": _("Facts of what was counted"),
        "alarm": _("Facts of alarms"),
    }
    return found.get(name, _("Facts: {subject}").format(subject=name))


def ordered_layers(found: set[str]) -> list[str]:
    """Return layers in reading order, new ones last."""
    return sorted(found, key=lambda each: (LAYERS.index(each) if each in LAYERS else len(LAYERS), each))
