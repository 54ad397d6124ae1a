# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  # captures are as wide as the tools print them
"""Captures that hold known identifiers in every form they take: made up, one text a capture id.

A new capture in kb/captures needs an entry here: that is how its masking is thought of.
"""

from __future__ import annotations

import base64
import json
import re

HOST = "node7-berlin"
DOMAIN = "acme-corp.test"
VM, ODD_VM, UTF8_VM = "web01-prod", 'db 02 "x" & <y>', "M\xc3\xbcller-Mail"
GUEST_MAC, TAP_MAC, NIC_MAC, OTHER_MAC, LOW_MAC = (
    "52:54:00:3c:9d:11",
    "fe:54:00:3c:9d:11",
    "3c:ec:ef:12:a4:7b",
    "b8:2a:72:d0:11:fe",
    "0a:16:3e:5c:22:91",
)
PEDIT_MAC, V4_PEDIT = "b6:16:3e:77:88:99", "10.77.77.7"
V4, V4_NEIGHBOUR, V4_PUBLIC = "192.168.117.34", "192.168.117.35", "203.0.113.77"
V6, V6_EUI, LINK_LOCAL = "2001:db8:77:1::1234", "2001:db8:77:1:5054:ff:fe3c:9d11", "fe80::5054:ff:fe3c:9d11"
UUID, PORT_UUID = "7d1f4c52-9a3e-4b1c-8e77-2f6a1b0c9d3e", "0f9e8d7c-6b5a-4948-9372-615048372615"
TAP, NIC, PATCH, ODD_IF = "tap0f9e8d7c-6b", "enx3cecef12a47b", "patch-acme-tun", 'we:ird"x'
USER, PROCESS, TENANT, SERIAL, NETWORK = "jdoe", "billingd", "acme-logistics", "SN47-11XYZ", "acme-dmz"
GONE = (
    "gonetap-7f",
    "gonebond",
    "goneslave",
    "goneup1np1",
    "gonebr",
    "goneport5",
    "gonewire",
    "oldname4",
    "gonelink",
)
GONE_VM, GONE_PROCESS = "gone-mail-vm", "ledgerd"
LABELS = ("tenantgroup-x", "customer9-ns", "billxdp", "auditedd", "Fabrikam")
SAID = (
    "payrollsvc",
    "qualmprofile",
    "quartzvg-root",
    "Vendorix",
    "hullsock",
    "gonewire7",
    "gonemirror8",
    "Jane Roe",
)
LATE, LATE_PROCESS = "hubnet-q7", "hubhelper-q9"
"""Known from nothing but a place that is looked at after the first one that holds it."""
PEERS, PEER_DOMAIN = ("ctl1", "mgr-8", "gw47"), "wonka.example"
BACKSLASH = "\\"
ALIAS = "uplink of Jane Doe, rack 12"

NAMES = (
    HOST,
    DOMAIN,
    VM,
    UTF8_VM,
    "db 02",
    TAP,
    NIC,
    PATCH,
    USER,
    TENANT,
    SERIAL,
    NETWORK,
    ALIAS,
    "Jane Doe",
    PROCESS,
)
ALL_NAMES = (
    *NAMES,
    "acme",
    "berlin",
    "prod",
    "we:ird",
    "Produktion",
    *GONE,
    GONE_VM,
    GONE_PROCESS,
    *PEERS,
    "wonka",
    *LABELS,
    *SAID,
    LATE,
    LATE_PROCESS,
)
MACS = (GUEST_MAC, NIC_MAC, OTHER_MAC, LOW_MAC)
IPV4S = (V4, V4_NEIGHBOUR, V4_PUBLIC)
IPV6S = (V6, V6_EUI, LINK_LOCAL)
UUIDS = (UUID, PORT_UUID)


def hex4(address: str, *, little: bool = False) -> str:
    octets = [int(part) for part in address.split(".")]
    return "".join(f"{octet:02x}" for octet in (reversed(octets) if little else octets))


def bare(text: str) -> str:
    return re.sub("[:-]", "", text)


def number(mac: str) -> str:
    return bare(mac).lstrip("0")


def bytes_of(mac: str) -> str:
    return mac.replace(":", ".")


def table(**columns: object) -> str:
    return (
        json.dumps({"data": [list(columns.values())], "headings": list(columns)}, separators=(",", ":"))
        + "\n"
    )


def pairs(**values: str) -> list[object]:
    return ["map", [[key.replace("__", "-"), value] for key, value in values.items()]]


def devices(layout: str) -> str:
    return "".join(layout.format(name) for name in (TAP, NIC, ODD_IF, "vnet3", "br-int"))


SCOPE = rf"machine-qemu\x2d3\x2d{VM.replace('-', chr(92) + 'x2d')}.scope"
LINK = {
    "ifindex": 7, "ifname": TAP, "master": PATCH, "mtu": 1500, "group": LABELS[0], "link_netns": LABELS[1],
    "xdp": {"mode": 1, "prog": {"id": 5, "name": LABELS[2]}}, "address": TAP_MAC, "broadcast": "ff:ff:ff:ff:ff:ff",
    "ifalias": ALIAS, "altnames": [NIC, f"eth-{VM}"], "phys_switch_id": bare(NIC_MAC), "phys_port_id": SERIAL,
    "linkinfo": {"info_kind": "vxlan", "info_data": {"remote": V4, "local6": V6, "link": NIC,
                 "bridge_id": f"8000.{NIC_MAC}"}},
}  # fmt: skip
XML = f"""<domain type='kvm' id='3'>
  <name>{VM}</name>
  <uuid>{UUID}</uuid>
  <genid>{PORT_UUID}</genid>
  <os>
    <nvram>/var/lib/libvirt/qemu/nvram/{VM}_VARS.fd</nvram>
  </os>
  <devices>
    <emulator>/home/{USER}/bin/qemu-system-x86_64</emulator>
    <interface type='network'>
      <mac address='{GUEST_MAC}'/>
      <source network='{NETWORK}' portid='{PORT_UUID}' bridge='br-int'/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='{PORT_UUID}' profileid='{TENANT}'/>
      </virtualport>
      <target dev='{TAP}'/>
      <model type='virtio'/>
      <driver name='vhost' queues='2' rx_queue_size='512'/>
      <filterref filter='clean-{TENANT}'>
        <parameter name='IP' value='{V4}'/>
      </filterref>
      <ip address='{V4_NEIGHBOUR}' prefix='24'/>
      <script path='/home/{USER}/ifup'/>
      <alias name='net0'/>
    </interface>
    <console type='pty' tty='/dev/pts/3'>
      <source path='/srv/{TENANT}/console'/>
    </console>
  </devices>
</domain>

<domain type='kvm'>
  <name>db 02 &quot;x&quot; &amp; &lt;y&gt;</name>
  <uuid>{PORT_UUID}</uuid>
</domain>

"""
OVS_EXTERNAL = pairs(
    attached__mac=GUEST_MAC, iface__id=PORT_UUID, iface__status="active", vm__id=UUID, vm__name=VM, tenant=TENANT,
)  # fmt: skip
FLOWS = (
    f"@ br-int\nNXST_FLOW reply (xid=0x4):\n cookie=0x0, table=0, n_packets=7, priority=10,ip,in_port={TAP},"
    f"dl_dst={GUEST_MAC},nw_src={V4},nw_dst={V4_PUBLIC}/24 actions=load:0x{hex4(V4)}->NXM_OF_ARP_SPA[],output:{PATCH}\n"
    f' cookie=0x0, ipv6,ipv6_dst={V6},nd_target={LINK_LOCAL},in_port="{GONE[0]}" actions=output:"{GONE[8]}",output:NXM_OF_IN_PORT[],output:LOCAL\n'
    f" cookie=0x{bare(LOW_MAC)}, arp,arp_tpa={V4} actions=mod_dl_src:{LOW_MAC},load:0x{number(LOW_MAC)}->NXM_NX_ARP_SHA[],"
    f"load:0x{hex4(V4)}->NXM_OF_ARP_SPA[],set_field:{GUEST_MAC}->eth_src,set_field:{V6}->ipv6_src,IN_PORT\n".replace(
        f"cookie=0x{bare(LOW_MAC)}", "cookie=0x7d4b2a1c9f3e5510"
    )
    + " cookie=0x0, icmp6,nd_target="
    + V6
    + " actions=load:0x1234->NXM_NX_IPV6_SRC[0..63],load:0x20010db800770001->NXM_NX_IPV6_SRC[64..127],"
    f"load:0x20010db800770001->NXM_NX_ND_TARGET[64..127],load:0x505400fffe3c9d11->NXM_NX_ND_TARGET[0..63],load:0x{bare(OTHER_MAC)}->NXM_NX_ND_SLL[]\n"
    f" cookie=0x0, reg0=0x{hex4(V4)},metadata=0x{bare(GUEST_MAC)} actions=set_field:0x{hex4(V4_PUBLIC)}/0xffffff00->reg3,"
    f"controller(userdata=00.00.00.0c.00.00.00.00.{bytes_of(OTHER_MAC)}.{bytes_of(GUEST_MAC)}),note:{bytes_of(GUEST_MAC)}.61.63.6d.65\n"
)
CORPUS = {
    "sysfs-net": devices("{0}/statistics/tx_dropped:5\n{0}/mtu:1500\n{0}/address:" + TAP_MAC + "\n{0}/ifalias:" + ALIAS + "\n"),
    "sysfs-net-links": devices("lrwxrwxrwx 1 0 0 0 Nov 22 13:45 {0}/master -> ../br-int\n")
    + f"lrwxrwxrwx 1 0 0 0 Nov 22 13:45 br-int/lower_{TAP} -> ../{TAP}\n",
    "ip-link": json.dumps([LINK, LINK | {"ifname": ODD_IF, "link": PATCH, "altnames": []}], separators=(",", ":")) + "\n",
    "ip-link-text": f"7: {TAP}@{NIC}: <BROADCAST,UP> mtu 1500 qdisc noqueue master {PATCH} state UP group {LABELS[0]} qlen 1000\n"
    f"    link/ether {TAP_MAC} brd ff:ff:ff:ff:ff:ff link-netns {LABELS[1]} promiscuity 1\n    prog/xdp id 5 name {LABELS[2]} tag 1234567890abcdef\n    bridge bridge_id 8000.{NIC_MAC}\n"
    f"    alias {ALIAS}\n    link/infiniband 80:00:02:08:fe:80:00:00:00:00:00:00:00:02:{OTHER_MAC}\n    altname {NIC}\n    vxlan id 7 remote {V4} local {V6_EUI}\n",
    "proc-net-dev": "Inter-|   Receive\n face |bytes\n" + devices("{0:>20}: 10 1 0 0 0 0 0 0 20 2 0 5 0 0 0 0\n"),
    "softnet-stat": "0000000a 00000000 00000001\n",
    "proc-stat": "cpu  1 2 3 4\n",
    "proc-schedstat": "version 15\n",
    "proc-net-netlink": "sk Eth Pid\n0000000000000000 0 100\n",
    "proc-pressure": "/proc/pressure/cpu:some avg10=0.00 total=0\n",
    "tc-qdisc": json.dumps([{"kind": "htb", "dev": name, "root": True} for name in (TAP, ODD_IF, "vnet3")]) + "\n",
    "tc-qdisc-text": f"qdisc htb 1: dev {TAP} root refcnt 2 r2q 10\n Sent 10 bytes\n",
    "tc-class": f"@ {TAP} root\nclass htb 1:1 root prio 0\n",
    "tc-filter": f"@ {TAP} ingress\nfilter protocol ip pref 9 u32 chain 0 fh 800::800 order 2048\n"
    f"  match {hex4(V4)}/ffffffff at 12\n  match {hex4(V4_PUBLIC)}/ffffff00 at 16\n"
    f"  match 00770001/ffffffff at 12\n  match {bare(OTHER_MAC)[4:]}/ffffffff at -4\n"
    f"\taction order 3:  pedit action pipe keys 4\n\t key #0  at ipv4+12: val {hex4(V4_PEDIT)} mask 00000000\n"
    f"\t key #1  at eth+4: val 0000{bare(PEDIT_MAC)[:4]} mask ffff0000\n"
    f"\t key #2  at eth+8: val {bare(PEDIT_MAC)[4:]} mask 00000000\n\t key #3  at 16: val {hex4(V4_PEDIT)} mask 00000000\n"
    f"\t key #4  at ipv4+8: val 3f000000 mask 00ffffff\n"
    f"filter protocol all flower\n  src_mac {GUEST_MAC}\n  dst_ip {V4}\n  src_ip {V6}\n"
    f"\taction order 1: mirred (Egress Redirect to device {PATCH}) stolen\n"
    f"filter protocol all pref 1 bpf chain 0 handle 0x1 {GONE_PROCESS}.o:[{TENANT}] direct-action id 7 name {TENANT} tag 1234567890abcdef\n"
    f"\taction order 2: gact action drop\n\tcookie {TENANT.encode().hex()}\n",
    "proc-status": f"/proc/4711/task/4711/status:Name:\t{PROCESS}\n/proc/4711/task/4711/status:State:\tS (sleeping)\n"
    "/proc/4711/task/4712/status:Name:\tCPU 0/KVM\n",
    "task-schedstat": "/proc/4711/task/4711/schedstat:1 2 3\n",
    "task-stat": f"/proc/4712/task/4712/stat:4712 (\n/proc/4712/task/4712/stat:) R 9 {PROCESS}\n"
    f"/proc/4712/task/4712/stat:7 ({PROCESS}) S 1 2\n"
    f"/proc/4711/task/4711/stat:4711 ({PROCESS}) S 1 2\n/proc/900/task/900/stat:900 (vhost-4711) S 1 2\n",
    "task-wchan": "/proc/4711/task/4711/wchan:poll\n",
    "task-cgroup": f"/proc/4711/task/4711/cgroup:0::/machine.slice/{SCOPE}/libvirt/vcpu0\n"
    f"/proc/4712/task/4712/cgroup:4:cpu,cpuacct:/kubepods.slice/pod{UUID.replace('-', '_')}.slice/{TENANT}.service\n",
    "cgroup-cpu": f"/sys/fs/cgroup/machine.slice/{SCOPE}/cpu.max:50000 100000\n"
    f"/sys/fs/cgroup/cpu,cpuacct/machine/qemu-3-{VM}.libvirt-qemu/cpu.stat:nr_throttled 3\n",
    "virsh-domstats": f"Domain: '{VM}'\n  state.state=1\n  net.count=1\n  net.0.name={TAP}\n  net.0.rx.bytes=5\n\n"
    f"Domain: '{ODD_VM}'\n  state.state=5\n\nDomain: '{UTF8_VM}'\n  state.state=5\n\n",
    "ovs-interface": table(
        _uuid=["uuid", PORT_UUID], admin_state="up", error=f"could not open network device {PATCH} (No such device)",
        external_ids=OVS_EXTERNAL, mac_in_use=TAP_MAC, name=TAP, options=pairs(remote_ip=V4, peer=PATCH),
        other=["set", ["vnet3", PATCH]], status=pairs(driver_name="tun", tunnel_egress_iface=NIC),
        peer=f"vxlan-{hex4(V4)}", type="vxlan",
    ),
    "proc-fd": "/proc/4711/fd/25 -> /dev/net/tun\n/proc/4711/fd/26 -> /dev/vhost-net\n",
    "proc-ns": "/proc/4711/ns/net -> net:[4026531840]\n",
    "tun-fdinfo": f"/proc/4711/fdinfo/25:iff:\t{TAP}\n/proc/4711/fdinfo/26:iff:\tvnet3\n",
    "proc-cmdline": f"4711\t/usr/bin/qemu-system-x86_64\n4711\t-name guest={VM},process=qemu:{VM},debug-threads=on\n"
    f"4711\t-netdev tap,fd=25,id=hostnet0,vhost=on,ifname={TAP},script=/home/{USER}/up\n"
    f"4711\t-device virtio-net-pci,netdev=hostnet0,id=net0,mac={GUEST_MAC},bus=pci.1\n"
    f"4711\t-netdev bridge,id={LATE},helper={LATE_PROCESS}\n"
    f'4711\t-netdev {{"type":"tap","fd":"27","id":"{TENANT}1"}}\n'
    f'4711\t-device {{"driver":"virtio-net-pci","netdev":"{TENANT}1","mac":"{OTHER_MAC}"}}\n'
    f"4711\t-netdev user,id=u1,hostname={HOST},hostfwd=tcp:{V4}:22-:22\n4800\t/opt/{TENANT}/{PROCESS}\n",
    "virsh-list": f" Id   Name    State\n--------\n 3    {VM}   running\n -    {ODD_VM}   shut off\n -    {UTF8_VM}   shut off\n\n",
    "virsh-domiflist": f"@ {UUID}\n Interface   Type   Source   Model   MAC\n------\n {TAP}   network   {NETWORK}   virtio   {GUEST_MAC}\n\n",
    "virsh-dumpxml": XML,
    "libvirt-version": "Compiled against library: libvirt 9.0.0\n",
    "ovs-version": "ovs-vsctl (Open vSwitch) 2.17.2\n",
    "ovs-bridge": table(
        _uuid=["uuid", UUID], datapath_id=f"0000{bare(NIC_MAC)}", datapath_version="2.17.2", name="br-int",
        other_config=pairs(hwaddr=NIC_MAC, disable__in__band="true"), external_ids=pairs(owner=TENANT),
    ),
    "ovs-port": table(_uuid=["uuid", UUID], interfaces=["uuid", PORT_UUID], name=TAP, tag=["set", []]),
    "ethtool-i": f"@ {NIC}\ndriver: ixgbe\nversion: 5.1.0.4\nfirmware-version: 0x800003df, 1.2.3.4\nbus-info: 0000:3b:00.0\n",
    "ethtool-k": f"@ {NIC}\nFeatures for {NIC}:\nrx-checksumming: on\n",
    "ethtool-l": f"@ {NIC}\nChannel parameters for {NIC}:\nCombined: 4\n",
    "kernel-log": f"[    1.0] {TAP}: entered promiscuous mode\n[    1.1] device gone-acme-7 left promiscuous mode\n"
    f"[    2.0] br-int: port 1({TAP}) entered forwarding state\n[    3.0] ixgbe 0000:3b:00.0 {NIC}: NIC Link is Up\n"
    f"[    4.0] Out of memory: Killed process 4711 ({PROCESS}) total-vm:1kB\n"
    f"[    5.0] oom-kill:constraint=CONSTRAINT_MEMCG,cpuset={SCOPE},task_memcg=/machine.slice/{SCOPE},task={PROCESS},pid=1\n"
    f"[    5.1] {GONE_PROCESS} invoked oom-killer: gfp_mask=0x100, Comm: {GONE_PROCESS} Tainted: G\n[    5.2] {GONE_PROCESS}[77]: segfault\n"
    f"[    5.3] watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [{GONE_PROCESS}:3322]\n[    5.4] task {GONE_PROCESS}:33 blocked for more than 120 s\n"
    f"[    5.5] device {GONE[0]} entered promiscuous mode\n[    5.6] {GONE[1]}: (slave {GONE[2]}): link status down\n"
    f"[    5.7] ixgbe 0000:3b:00.1 {GONE[3]}: NIC Link is Down\n[    5.8] {GONE[4]}: port 9({GONE[5]}) entered disabled state\n"
    f"[    5.9] IPv6: ADDRCONF(NETDEV_CHANGE): {GONE[6]}: link becomes ready\n[    5.91] vnet7: renamed from {GONE[7]}\n"
    f"[    5.92] NETDEV WATCHDOG: {GONE[8]} (ixgbe): transmit queue 1 timed out\n"
    f"[    5.93] oom: machine-qemu\\x2d9\\x2d{GONE_VM.replace('-', BACKSLASH + 'x2d')}.scope of qemu-9-{GONE_VM}\n"
    f"[    5.94] ll header: 00000000: {GUEST_MAC.replace(':', ' ')} {OTHER_MAC.replace(':', ' ')} 08 00\n"
    f'[    5.95] audit: type=1400 apparmor="STATUS" comm="{LABELS[3]}" vnet3\n[    5.96] Hardware name: {LABELS[4]} X7/{SERIAL}\n'
    f"[    5.97] systemd[1]: Started {SAID[0]} vhost helper for vnet3.\n[    5.98] vhost: {LATE} and {LATE_PROCESS} are slow, vnet3\n"
    f'[    5.99] audit: type=1400 audit(1700000000.123:22): profile="{SAID[1]}" name="/srv/{SAID[1]}/x" comm={LABELS[3].encode().hex().upper()} vnet3\n'
    f"[    5.991] Kernel command line: root=/dev/mapper/{SAID[2]} vhost_net.x=1\n[    5.992] task:{GONE_PROCESS}         state:D stack:0 vhost\n"
    f"[    6.0] vhost: {GUEST_MAC} {V4} {'.'.join(reversed(V4.split('.')))}.in-addr.arpa {LINK_LOCAL}\n",
    "sysctl-net": "net/core/netdev_max_backlog:1000\nnet/core/default_qdisc:fq_codel\n",
    "module-parameters": "vhost_net/parameters/experimental_zcopytx:0\n",
    "proc-modules": "tun 61440 4 vhost_net, Live 0x0000000000000000\n",
    "os-release": f'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\nHOME_URL="https://{DOMAIN}/"\nSUPPORT_URL="mailto:{USER}@{DOMAIN}"\n',
    "proc-version": f"Linux version 5.10.0-60.18.0.50.oe2203 ({USER}@{HOST}.{DOMAIN}) (gcc ({SAID[3]} 10.3.1-2) 10.3.1, GNU ld (GNU Binutils for {SAID[3]}) 2.37)"
    f" #1 SMP PREEMPT_DYNAMIC {SAID[3]} 5.10.1-2 Wed Nov 22 13:45:00 UTC 2023\n",
    "trace-features": "/sys/kernel/tracing/events/skb/kfree_skb/format:name: kfree_skb\n",
    "tool-versions": "@ ip\nip utility, iproute2-6.1.0\n",
    "trace": f"@ start 41.27\n#\n     {PROCESS}-4711    [001] b.s..    41.3: net_dev_xmit: dev={TAP} skbaddr=00000000ab12cd34 len=42 rc=1\n"
    "          <idle>-0       [000] ..s1.    41.4: kfree_skb: skbaddr=00000000ab12cd34 protocol=2048 location=tun_net_xmit+0x1\n@ stop 51.27\n",
    "ovs-mirror": table(_uuid=["uuid", UUID], name=f"mirror-{TENANT}", select_name=f"copy for {SAID[7]}",
        last_error=f"could not set configuration of port {SAID[6]}", output_port=["uuid", PORT_UUID]),
    "ovs-datapath": f"system@ovs-system:\n  lookups: hit:1 missed:2 lost:3\n  port 0: ovs-system (internal)\n  port 2: {TAP}\n"
    f"  port 3: vxlan-{hex4(V4)} (vxlan: remote_ip={V4})\n",
    "ovs-coverage": "Event coverage, avg rate over last: 5 seconds, last minute\nnetlink_sent 0.0/sec 0.000/sec total: 5\n",
    "ovs-upcall": "system@ovs-system:\n  flows : (current 5) (avg 5) (max 9) (limit 200000)\n",
    "ovs-memory": "handlers:1 ports:3 revalidators:1 rules:9\n",
    "ovs-fdb-stats": '@ br-int\nStatistics for bridge "br-int":\n  Current/maximum MAC entries in the table: 1/8192\n',
    "ovs-datapath-flows": f"@ system@ovs-system\nufid:{UUID}, recirc_id(0),in_port({TAP}),eth(src={GUEST_MAC},dst={OTHER_MAC}),"
    f"eth_type(0x0800),ipv4(src={V4},dst={V4_PUBLIC}), packets:1, bytes:60, used:0.1s, actions:{PATCH}\n",
    "ovs-dump-ports": f"@ br-int\nOFPST_PORT reply (xid=0x2): 2 ports\n  port  {TAP}: rx pkts=1, bytes=2, drop=0\n",
    "ovs-dump-flows": FLOWS,
    "ovs-meter-stats": "@ br-int\nOFPST_METER reply (OF1.3) (xid=0x2):\nmeter:1 flow_count:1\n",
    "bridge-link": json.dumps([{"ifindex": 3, "ifname": TAP, "master": PATCH, "flags": ["UP"]}]) + "\n",
    "bridge-fdb": f"{GUEST_MAC} dev {TAP} used 1/2 master {PATCH}\n33:33:ff:3c:9d:11 dev {TAP} self permanent\n# {TAP} {PATCH} 1\n",
    "conntrack-stat": "entries searched\n00000001 00000000\n",
    "ovs-open-vswitch": table(
        _uuid=["uuid", UUID], ovs_version="2.17.2",
        external_ids=pairs(hostname=f"{HOST}.{DOMAIN}", system__id=UUID, ovn__encap__ip=V4, ovn__remote=f"tcp:{V4}:6642"),
    ),
    "ovs-sflow": table(_uuid=["uuid", UUID], agent=NIC, targets=f"{V4}:6343"),
    "ovs-netflow": table(_uuid=["uuid", UUID], targets=["set", [f"{V4}:2055", f"{V4_PUBLIC}:2055"]]),
    "ovs-ipfix": table(_uuid=["uuid", UUID], targets=f"[{V6}]:4739"),
    "ovs-sample-collectors": table(_uuid=["uuid", UUID], id=1),
    "ovs-qos": table(_uuid=["uuid", UUID], type="linux-htb", external_ids=pairs(owner=TENANT)),
    "ovs-queue": table(_uuid=["uuid", UUID], other_config=pairs(max__rate="1000000")),
    "ovs-show": f'{UUID}\n    Manager "ptcp:6640:127.0.0.1"\n    Manager "ssl:{PEERS[1]}:6640"\n    Manager "punix:/srv/{SAID[4]}/db.sock"\n    Bridge br-int\n        Controller "tcp:{V4}:6653"\n        Controller "ssl:{PEERS[0]}.{PEER_DOMAIN}:6653"\n        Port {TAP}\n            Interface {TAP}\n'
    f'                type: vxlan\n                options: {{key="7", remote_ip="{V4}"}}\n                options: {{key=flow, remote_ip="{PEERS[2]}.{PEER_DOMAIN}"}}\n                error: "could not open network device {SAID[5]} (No such device)"\n    ovs_version: "2.17.2"\n',
    "ovs-bond": f"---- bond0 ----\nbond_mode: balance-tcp\nactive slave mac: {NIC_MAC}({NIC})\n\nslave {NIC}: enabled\n",
    "ovs-dpif": f"system@ovs-system: hit:1 missed:2\n  br-int:\n    {TAP} 2/3: (tap)\n    vx0 4/5: (vxlan: remote_ip={V4})\n",
    "ovs-log": f"2026-11-22T13:45:00.123Z|00007|bridge|WARN|could not add network device {PATCH} to ofproto ({TAP})\n"
    f"2026-11-22T13:45:01.000Z|00008|dpif|WARN|system@ovs-system: failed to put for {V4} {GUEST_MAC}\n"
    f"2026-11-22T13:45:02Z|00009|bridge|WARN|could not open network device {GONE[0]} (No such device)\n"
    f"2026-11-22T13:45:02Z|00010|bond|INFO|bond {GONE[1]}: active member is now {GONE[2]}\n"
    f"2026-11-22T13:45:02Z|00011|netdev_linux|WARN|{GONE[3]}: removing policing failed: No such device\n"
    f"2026-11-22T13:45:02Z|00012|bond|INFO|bond {GONE[1]}: shift 9kB of load (with hash 7) from {GONE[5]} to {GONE[6]} (now carrying 1kB)\n"
    f"2026-11-22T13:45:02Z|00014|rconn|INFO|br-int<->ssl:{PEERS[0]}.{PEER_DOMAIN}:6653: connecting...\n"
    f"2026-11-22T13:45:02Z|00013|dpif(handler4)|WARN|failed to put: arp,load:0x{number(LOW_MAC)}->NXM_NX_ARP_SHA[] at {GONE[4]}\n",
}  # fmt: skip
GUEST_CORPUS = {
    "guest-manifest": f"collector=vnetkb-guest\nsystem=linux\nhost=mail-acme-7\nnote=of {VM}\n",
    "guest-file": f"VNETKB-CONTAINER 1 {VM}\n@@ clock\n|{UUID}\n|{GUEST_MAC} {V4}\n",
    "agent-osinfo": '{"return":{"id":"debian","name":"Debian GNU/Linux"}}\n',
    "agent-info": '{"return": {"version": "7.2.22", "supported_commands": [{"enabled": true, "name":'
    ' "guest-set-user-password", "success-response": true}, {"enabled": true, "name": "guest-get-time"}]}}\n',
    "agent-interfaces": '{"return":[{"name":"'
    + TAP
    + '","hardware-address":"'
    + GUEST_MAC
    + '","statistics":{"rx-dropped":1}},{"name":"Produktion Acme","hardware-address":"'
    + OTHER_MAC
    + '"}]}\n',
    "virsh-domifstat": f"{TAP} rx_packets 612\n{TAP} rx_drop 509\n\n",
    "virtqueue-status": "@ /machine/peripheral/net0/virtio-backend 0\n"
    '{"return":{"name":"virtio-net","vm":"' + VM + '"}}\n',
    "guest-clock": f"17.5 3.2\n2026-11-22T13:45:00Z\n{UUID}\n",
    "guest-sysfs-net": CORPUS["sysfs-net"],
    "guest-ip-link": CORPUS["ip-link"],
    "guest-proc-net-dev": CORPUS["proc-net-dev"],
    "guest-proc-net-udp": "  sl  local_address rem_address\n"
    f"  7: {hex4(V4, little=True).upper()}:0035 {hex4(V4_PUBLIC, little=True).upper()}:0000 07 00000000:00000000\n",
    "guest-proc-net-udp6": "  sl  local_address\n  8: B80D0120010077000000000034120000:0035 00000000000000000000000000000000:0000 07\n",
    "guest-tc-qdisc": CORPUS["tc-qdisc"],
    "guest-netstat-i": f"Kernel Interface table\n{TAP} 1500 1 2 3\n",
    **{f"guest-ethtool-{what}": f"@ {NIC}\nNIC statistics:\n     rx_dropped: 1\n" for what in "sgc"},
    **{f"guest-ethtool-{what}": CORPUS[f"ethtool-{what}"] for what in "ikl"},
    "guest-virtio-features": f"{TAP}/device/features:1011\n",
    "guest-kernel-log": CORPUS["kernel-log"],
    "win-counters": '{"Interfaces":[{"Name":"Produktion Acme","Description":"Red Hat VirtIO Ethernet Adapter","Mac":"'
    + bare(GUEST_MAC).upper()
    + '"}]}\n',
    "win-adapters": '[\n  {\n    "Name":  "Red Hat VirtIO Ethernet Adapter",\n    "NetConnectionID":  "Produktion Acme",\n'
    f'    "MACAddress":  "{GUEST_MAC.upper()}",\n    "GUID":  "{{{UUID.upper()}}}"\n  }}\n]\n',
    "win-nic-registry": '[{"NetCfgInstanceId":"{'
    + PORT_UUID.upper()
    + '}","NetworkAddress":"'
    + bare(OTHER_MAC).upper()
    + '"}]\n',
    "win-netsh-subinterfaces": "   MTU  MediaSenseState   Bytes In  Bytes Out  Interface\n  1500  1  123  456  Produktion Acme\n",
    "win-getmac": f'"Ethernet 2","Red Hat VirtIO","{GUEST_MAC.upper().replace(":", "-")}","\\Device\\Tcpip_{{{UUID.upper()}}}"\n',
}
"""Guests' captures. Those that reveal nothing need no entry."""


def forms_of_name(name: str) -> set[str]:
    """Return a name plain, folded, reversed, in hex and in base64 at each of the three places it can have."""
    raw = name.encode("latin-1")
    found = {name, name.lower(), name.upper(), name[::-1], raw.hex(), raw.hex().upper()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode()
        found.add(coded[-(-shift * 8 // 6) : len(coded) - 4 if len(raw) > 4 else None])
    return {form for form in found if len(form) >= 3}


def forms_of_mac(mac: str) -> set[str]:
    """Return a MAC address in every way in which tools write it, EUI-64 among them."""
    digits = bare(mac)
    flipped = f"{int(digits[:2], 16) ^ 2:02x}{digits[2:6]}fffe{digits[6:]}"
    eui = ":".join(flipped[at : at + 4].lstrip("0") or "0" for at in range(0, 16, 4))
    dotted = ".".join(digits[at : at + 4] for at in range(0, 12, 4))
    found = {
        mac,
        mac.replace(":", "-"),
        mac.replace(":", "."),
        mac.replace(":", " "),
        digits.lstrip("0"),
        digits,
        dotted,
        flipped,
        eui,
        mac[::-1],
        digits[::-1],
    }
    found |= {base64.b64encode(bytes.fromhex(digits)).decode(), ":".join(reversed(mac.split(":")))}
    return found | {form.upper() for form in found}


def forms_of_ipv4(address: str) -> set[str]:
    """Return an IPv4 address dotted, reversed, and in hex in both byte orders."""
    found = {
        address,
        ".".join(reversed(address.split("."))),
        address[::-1],
        hex4(address),
        hex4(address, little=True),
    }
    return (
        found
        | {form.upper() for form in found}
        | {base64.b64encode(address.encode()).decode().rstrip("=")[:-1]}
    )


def every_form() -> set[str]:
    """Return every form of every identifier of the corpus."""
    found: set[str] = set()
    for name in ALL_NAMES:
        found |= forms_of_name(name)
    for mac in MACS:
        found |= forms_of_mac(mac)
    for address in IPV4S:
        found |= forms_of_ipv4(address)
    found.add("20010db800770001")
    for address in IPV6S:
        found |= {address, address.upper()}
    for uuid in UUIDS:
        found |= {uuid, uuid.upper(), bare(uuid), uuid.replace("-", "_"), uuid[::-1], uuid[:11]}
    return found
