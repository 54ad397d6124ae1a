# SPDX-License-Identifier: Apache-2.0
"""Virtual machines and switches: QEMU's arguments, libvirt, Open vSwitch, ethtool."""

from collections.abc import Callable

import pytest

from vnetkb.parsers import (
    ethtool_blocks,
    ethtool_i,
    ethtool_k,
    ethtool_l,
    libvirt_version,
    ovs_bridge,
    ovs_interface,
    ovs_json,
    ovs_port,
    ovs_version,
    proc_cmdline,
    virsh_domiflist,
    virsh_domstats,
    virsh_dumpxml,
    virsh_list,
)
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


def test_cmdline_of_a_libvirt_machine_with_json_options(captured: Captured) -> None:
    rows = proc_cmdline.parse(captured("libvirt-9.0/proc-cmdline"))
    (qemu,) = (row for row in rows.values() if row.options)
    assert qemu.argv0 == "/usr/bin/qemu-system-x86_64"
    assert qemu.guest_name() == "web01"
    assert qemu.netdevs()[0] == {"type": "tap", "fds": "30:32", "id": "hostnet0"}
    nic = qemu.devices()[0]
    assert (nic["driver"], nic["netdev"], nic["mac"], nic["mq"]) == (
        "virtio-net-pci",
        "hostnet0",
        "52:54:00:aa:bb:cc",
        "on",
    )
    assert (nic["rx_queue_size"], nic["vectors"]) == ("512", "6")
    assert qemu.values("-smp")[0]["cpus"] == "2"


def test_cmdline_with_comma_lists() -> None:
    text = (
        b"7\t/usr/libexec/qemu-kvm\n7\t-name web,,01,process=x\n"
        b"7\t-netdev tap,ifname=vnet0,id=n0,vhost=on,queues=4,script=no\n"
        b"7\t-device virtio-net-pci,netdev=n0,mq\n"
    )
    row = proc_cmdline.parse(text)[7]
    assert row.guest_name() == "web,01"
    assert row.netdevs() == [
        {"type": "tap", "ifname": "vnet0", "id": "n0", "vhost": "on", "queues": "4", "script": "no"}
    ]
    assert row.devices()[0]["mq"] == "on"


def test_cmdline_of_other_programs_is_their_path_only(captured: Captured) -> None:
    rows = proc_cmdline.parse(captured("libvirt-9.0/proc-cmdline"))
    assert any(row.argv0 == "ovs-vswitchd" and not row.options for row in rows.values())
    assert rows[max(rows)].guest_name() is None


@pytest.mark.parametrize("value", ["{", '{"a":', "[" * 100_000, "{}", '{"a": [1]}'])
def test_broken_json_in_an_option_is_not_fatal(value: str) -> None:
    assert isinstance(proc_cmdline.parse_value("{" + value, "type"), dict)


def test_cmdline_refuses_lines_without_a_process() -> None:
    with pytest.raises(ParseError):
        proc_cmdline.parse(b"/usr/bin/qemu\n")


def test_domains_and_states(captured: Captured) -> None:
    rows = virsh_list.parse(captured("libvirt-9.0/virsh-list"))
    assert [(row.id, row.name, row.state) for row in rows] == [
        (1, "web01", "running"),
        (None, "db 02", "shut off"),
    ]
    paused = virsh_list.parse(captured("libvirt-9.0/virsh-list-paused"))
    assert paused[0].state == "paused"
    with pytest.raises(ParseError):
        virsh_list.parse(b" 1 web01 running\n")


def test_a_name_that_ends_like_a_state() -> None:
    rows = virsh_list.parse(b" Id Name State\n---\n 3  is paused   in shutdown\n")
    assert (rows[0].name, rows[0].state) == ("is paused", "in shutdown")


def test_domstats_are_the_guests_view_of_each_interface(captured: Captured) -> None:
    rows = virsh_domstats.parse(captured("libvirt-9.0/virsh-domstats"))
    assert (rows["web01"].state, rows["web01"].reason) == (1, 1)
    first, second = rows["web01"].interfaces
    assert (first.name, second.name) == ("vnet0", "tapeth")
    assert first.rx_drop == 0
    assert rows["db 02"].interfaces == ()
    assert virsh_domstats.parse(captured("libvirt-9.0/virsh-domstats-paused"))["web01"].state == 3


def test_domstats_with_vcpus(captured: Captured) -> None:
    row = virsh_domstats.parse(captured("libvirt-9.0/virsh-domstats-vcpu"))["web01"]
    assert (row.vcpu_current, row.vcpu_maximum) == (2, 2)
    assert [vcpu.index for vcpu in row.vcpus] == [0, 1]
    assert row.vcpus[0].time_ns is not None
    assert row.vcpus[0].delay_ns is not None
    assert row.vcpus[0].halted is None
    halted = virsh_domstats.parse(b"Domain: 'a'\n  vcpu.0.halted=yes\n  vcpu.1.halted=no\n")["a"]
    assert [vcpu.halted for vcpu in halted.vcpus] == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        b"  state.state=1\n",
        b"Domain: 'a'\n  nonsense\n",
        b"Domain: 'a'\nDomain: 'a'\n",
        b"Domain: 'a'\n  state.state=x\n",
    ],
)
def test_domstats_refuse_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        virsh_domstats.parse(text)


def test_interfaces_of_each_domain(captured: Captured) -> None:
    running, off = virsh_domiflist.parse(captured("libvirt-9.0/virsh-domiflist")).values()
    assert (running[0].target, running[0].source, running[0].model) == ("vnet0", "br1", "virtio")
    assert (running[1].source, running[1].mac) == (None, "52:54:00:aa:bb:cd")
    assert off[0].target is None
    with pytest.raises(ParseError):
        virsh_domiflist.parse(b" vnet0 bridge br1 virtio 52:54:00:aa:bb:cc\n")


def test_domain_xml(captured: Captured) -> None:
    web, other = virsh_dumpxml.parse(captured("libvirt-9.0/virsh-dumpxml"))
    assert (web.name, web.id, web.type, web.vcpus) == ("web01", 1, "qemu", 2)
    assert web.uuid in virsh_domiflist.parse(captured("libvirt-9.0/virsh-domiflist"))
    nic = web.interfaces[0]
    assert (nic.type, nic.target, nic.mac, nic.model) == ("bridge", "vnet0", "52:54:00:aa:bb:cc", "virtio")
    assert nic.source["bridge"] == "br1"
    assert (nic.driver["queues"], nic.driver["rx_queue_size"], nic.mtu, nic.alias) == (
        "2",
        "512",
        1400,
        "net0",
    )
    assert (other.name, other.id) == ("db 02", None)
    assert other.interfaces[0].bandwidth["inbound"] == {"average": "1000", "peak": "5000", "burst": "1024"}
    assert other.interfaces[0].bandwidth["outbound"]["average"] == "128"


@pytest.mark.parametrize(
    "text",
    [
        b"<!DOCTYPE domain><domain><name>a</name></domain>",
        b'<!DOCTYPE d [<!ENTITY a "aaaa">]><domain><name>&a;</name></domain>',
        b"<domain><name>a</name>",
        b"<domain></domain>",
        b"<domain><name>a</name></domain><domain>",
        b"<a>" * 100 + b"</a>" * 100,
        b"not xml",
        b"<domain><name>\x00</name></domain>",
    ],
)
def test_domain_xml_refuses_document_types_depth_and_broken_text(text: bytes) -> None:
    with pytest.raises(ParseError):
        virsh_dumpxml.parse(text)


def test_domain_xml_ignores_a_declared_encoding() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?>\n<domain><name>ü</name></domain>\n'
    assert virsh_dumpxml.parse(text.encode())[0].name == "ü"


def test_elements_of_the_same_name_elsewhere_do_not_count() -> None:
    text = (
        b"<domain><name>a</name><metadata><interface type='x'/><name>b</name></metadata><devices>"
        b"<hostdev><mac address='no'/></hostdev><interface type='direct'><target dev='macvtap0'/></interface>"
        b"</devices></domain>\n"
    )
    (domain,) = virsh_dumpxml.parse(text)
    assert (domain.name, [one.target for one in domain.interfaces]) == ("a", ["macvtap0"])


def test_libvirt_versions(captured: Captured) -> None:
    row = libvirt_version.parse(captured("libvirt-9.0/libvirt-version"))
    assert (row.library, row.daemon, row.hypervisor, row.hypervisor_version) == (
        "9.0.0",
        "9.0.0",
        "QEMU",
        "7.2.22",
    )
    with pytest.raises(ParseError):
        libvirt_version.parse(b"")


def test_ovs_tables(captured: Captured) -> None:
    interfaces = {row["name"]: row for row in ovs_interface.parse(captured("ovs-3.1/ovs-interface"))}
    vnet9 = interfaces["vnet9"]
    assert vnet9["external_ids"]["vm-id"] == "web01"
    assert vnet9["ingress_policing_rate"] == 1000
    assert "tx_dropped" in vnet9["statistics"]
    assert vnet9["bfd"] == {}
    assert vnet9["cfm_fault"] == []
    (bridge,) = ovs_bridge.parse(captured("ovs-3.1/ovs-bridge"))
    assert bridge["datapath_type"] == "netdev"
    assert {row["name"] for row in ovs_port.parse(captured("ovs-3.1/ovs-port"))} == {"br-int", "vnet9"}
    assert ovs_version.parse(captured("ovs-3.1/ovs-version")) == "3.1.0"


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"headings":["a"],"data":[[]]}',
        b'{"headings":["a"],"data":[[null]]}',
        b'{"headings":["a"],"data":[[["set",[1],2]]]}',
        b'{"headings":["a"],"data":[[["map",[[["set",[]],1]]]]]}',
        b'{"headings":[1],"data":[]}',
        b'{"data":[]}',
        b'{"headings":["a"],"data":{}}',
        b'{"headings":["a"],"data":[[["map",[["k"]]]]]}',
        b'{"headings":["a"],"data":[[' + b'["set",[' * 50 + b"]]" * 50 + b"]]}",
    ],
)
def test_ovs_refuses_another_layout(text: bytes) -> None:
    with pytest.raises(ParseError):
        ovs_json.parse(text)


def test_ethtool_by_device(captured: Captured) -> None:
    assert ethtool_i.parse(captured("linux-6.18/ethtool-i"))["vnet0"].driver == "tun"
    assert ethtool_i.parse(captured("linux-6.18/ethtool-i"))["br0"].bus_info is None
    features = ethtool_k.parse(captured("linux-6.1/ethtool-k"))["br0"]
    assert features["tx-checksumming"] is True
    assert features["tx-checksum-ipv4"] is False
    channels = ethtool_l.parse(captured("linux-6.18/ethtool-l"))
    assert channels["vnet0"].maximum == ethtool_l.Channels(combined=1)
    assert channels["veth0"].current == ethtool_l.Channels(rx=1, tx=1)
    # the driver did not answer
    assert "br0" not in channels


def test_blocks_keep_the_text_of_each_device() -> None:
    assert ethtool_blocks.parse(b"@ a\nx\n@ b\n@ c\n@ not a mark\n") == {
        "a": b"x\n",
        "b": b"",
        "c": b"@ not a mark\n",
    }
    assert ethtool_blocks.parse(b"") == {}


@pytest.mark.parametrize("text", [b"x\n@ a\n", b"@ a\n@ a\n", b"x"])
def test_blocks_without_a_first_mark_or_twice_are_refused(text: bytes) -> None:
    with pytest.raises(ParseError):
        ethtool_blocks.parse(text)
