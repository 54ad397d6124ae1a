# SPDX-License-Identifier: Apache-2.0
"""What stands in a machine for scenarios: switches, a neighbour on them that sends, vnets with their VMs.

The settings are those that libvirt gives: noqueue on the tap, a fe:54 address, QEMU's threads with names. The
neighbour lives in a network namespace of its own at the far end of veth pairs, whose near ends, lan0 and
lan1, are the other ports of the Linux bridge br0 and of Open vSwitch's br1; lan2 and on those of bridges
of one VM each.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vnetlab import images
from vnetlab.images import LabError
from vnetlab.machine import Machine
from vnetlab.scenarios import Scenario

REAL_TAPS = Path(__file__).resolve().parents[2] / "real"
NUMBERS = {"bridge": 0, "ovs": 1}
"""By kind of switch, its number: that of its bridge, of its port to the neighbour, and of its network."""
OWN = 2
"""The number of the first VM's own bridge."""


@dataclass(frozen=True)
class Seat:
    """The place of one VM, counted from 0, on a kind of switch."""

    number: int
    switch: str

    @property
    def network(self) -> int:
        """Return the number of its switch."""
        return NUMBERS.get(self.switch, OWN + self.number)

    @property
    def bridge(self) -> str:
        """Return the name of its switch."""
        return f"br{self.network}"

    @property
    def tap(self) -> str:
        """Return the name of its tap."""
        return f"vnet{self.number}"

    @property
    def vm(self) -> str:
        """Return the name of the VM."""
        return f"web{self.number + 1:02}"

    @property
    def mac(self) -> str:
        """Return the address of the guest's NIC."""
        return f"52:54:00:aa:bb:{self.number + 1:02x}"

    @property
    def address(self) -> str:
        """Return the guest's IP address."""
        return f"10.77.{self.network}.{self.number + 2}"

    @property
    def words(self) -> str:
        """Return the assignments that inside/vars.sh reads."""
        number = self.network
        return f"TAP={self.tap} VM={self.vm} ADDRESS={self.address} BRIDGE=br{number} LAN=lan{number}"


@dataclass(frozen=True)
class Look:
    """What could be counted at one moment.

    Attributes:
        numbers: What tools show, by place; see tests/real/sight.py.
        sent: By VM, packets that the sender's kernel took.
        received: By VM, packets that the guest got, where somebody counts them.
        transmitted: By VM, packets that the stand-in for a guest handed to vhost.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    transmitted: dict[str, int] = field(default_factory=dict)


class Stage:
    """One machine and what stands in it."""

    def __init__(self, machine: Machine) -> None:
        """Keep the machine, and put in it what scenarios use."""
        self.machine = machine
        self._qemu = ""
        self._switches: list[str] = []
        tools = images.tools()
        for name in ("send", "vhostvm"):
            machine.put(f"/lab/{name}", (tools / name).read_bytes(), mode=0o755)
        machine.put("/lab/sight.py", (REAL_TAPS / "sight.py").read_bytes())
        machine.run(
            "modprobe tun && modprobe vhost_net && ip netns add lan && ip -n lan link set lo up\n"
            "for one in all default; do\n"
            "  ip netns exec lan sysctl -qw net.ipv6.conf.$one.disable_ipv6=1\ndone"
        )

    def step(self, seat: Seat, script: str, *, limit_s: float = 120) -> str:
        """Run a scenario's shell text, with the names of vars.sh, and return what it printed."""
        return self.machine.run(f"{seat.words}\n. /lab/vars.sh\n{script}", limit_s=limit_s)

    def set(self, seats: Mapping[str, Seat], chosen: Sequence[Scenario]) -> None:
        """Build switches, the neighbour and the VMs of scenarios; a TCG guest may be there already."""
        first = seats[chosen[0].name]
        if self._qemu and chosen[0].vm != self._qemu:
            self.step(first, "kill -KILL $QEMU; while [ -e /sys/class/net/$TAP ]; do sleep 0.1; done")
            self._qemu = ""
        for number, kind in sorted({(seat.network, seat.switch) for seat in seats.values()}):
            self._make_switch(number, kind)
        if chosen[0].vm != "client" and not self._qemu:
            self._start_qemu(first, chosen[0].vm, vhost=chosen[0].vhost)
            self._qemu = chosen[0].vm
        scripts = []
        for one in chosen:
            seat = seats[one.name]
            parts = [seat.words, ". /lab/vars.sh"]
            if one.vm == "client":
                parts.append(_stand_in(seat, one.client))
            parts += [_plug(seat, one), "rm -f /run/$VM.sent.*", ". /lab/vars.sh", one.setup]
            scripts.append("\n".join(parts))
        self.machine.run("set -e\n" + "\n".join(scripts), limit_s=300)

    def strike(self, seats: Sequence[Seat]) -> None:
        """Take away what `set` built; a guest under TCG stays."""
        if not self._qemu:
            files = "/run/{0}.pid /run/{0}.received"
            kill = "read -r pid 2>/dev/null </run/{0}.pid && kill -KILL $pid; rm -f " + files
            self.machine.run("\n".join(kill.format(seat.vm) for seat in seats))
        undo = "for lan in /sys/class/net/lan*; do [ ! -e $lan ] || ip link del ${lan##*/}; done\n"
        if "ovs" in self._switches:
            undo += "ovs-vsctl --if-exists del-br br1 -- --all destroy QoS -- --all destroy Queue\n"
        undo += (
            "for one in /sys/class/net/br*/bridge; do\n"
            "  one=${one%/bridge}; [ ! -e $one ] || ip link del ${one##*/}\ndone\n"
        )
        if not self._qemu:
            undo += "".join(
                f"for i in 1 2 3 4 5 6 7 8 9 10; do"
                f" [ -e /sys/class/net/{seat.tap} ] || break; sleep 0.2; done\n"
                f"[ ! -e /sys/class/net/{seat.tap} ] || ip link del {seat.tap}\n"
                for seat in seats
            )
        self.machine.run(undo)

    def _make_switch(self, number: int, kind: str) -> None:
        run = self.machine.run
        if kind == "ovs" and kind not in self._switches:
            run(
                "modprobe openvswitch && mkdir -p /run/openvswitch /var/log/openvswitch /etc/openvswitch"
                " && /usr/share/openvswitch/scripts/ovs-ctl --system-id=random --no-monitor start"
                " >/run/ovs.log 2>&1",
                limit_s=120,
            )
        self._switches = sorted({*self._switches, kind})
        add = (
            f"ovs-vsctl --timeout=30 add-br br{number} -- add-port br{number} lan{number}"
            if kind == "ovs"
            else f"ip link add br{number} type bridge && ip link set br{number} up"
            f" && ip link set lan{number} master br{number}"
        )
        run(
            f"[ ! -e /sys/class/net/lan{number} ] || exit 0\n"
            f"ip link add lan{number} type veth peer name to-lan{number} netns lan"
            f" && ip -n lan link set to-lan{number} address 02:00:00:00:00:09"
            f" && ip -n lan addr add 10.77.{number}.200/24 dev to-lan{number}"
            f" && ip -n lan link set to-lan{number} up && ip link set lan{number} up && {add}"
        )

    def _start_qemu(self, seat: Seat, guest: str, *, vhost: bool) -> None:
        vhost_switch = "on" if vhost else "off"
        command = [
            *images.guest_command(), "-name", f"guest={seat.vm},debug-threads=on",
            "-pidfile", f"/run/{seat.vm}.pid",
            "-netdev", f"tap,id=hostnet0,ifname={seat.tap},script=no,downscript=no,vhost={vhost_switch}",
            "-device", images.GUEST_NIC, "-serial", f"unix:/run/{seat.vm}.serial,server=on,wait=off",
            "-qmp", f"unix:/run/{seat.vm}.qmp,server=on,wait=off",
        ]  # fmt: skip
        if guest == "linux":
            command += ["-kernel", "/state/vmlinuz", "-initrd", "/state/initrd", *images.GUEST_BOOT]
            command += ["-incoming", "exec:cat /state/saved"]
        self.machine.start(shlex.join(command), log=f"/run/{seat.vm}.log")
        self.machine.wait_for(f"[ -e /sys/class/net/{seat.tap} ] && [ -S /run/{seat.vm}.qmp ]")
        if guest == "linux":
            # The guest was stopped when its state was saved, so it is stopped when that is loaded.
            self.step(
                seat,
                "until qmp query-status | grep -q paused || ! kill -0 $QEMU; do sleep 0.5; done",
                limit_s=180,
            )
            ran = self.machine.try_run(f"{seat.words}\n. /lab/vars.sh; qmp cont && guest true")
            if ran.status != 0:
                raise LabError(f"the guest does not go on: {self.machine.run(f'cat /run/{seat.vm}.log')}")

    def send(self, seats: Mapping[str, Seat], chosen: Sequence[Scenario], most: float | None) -> None:
        """Begin to send to the guests, at most `most` packets/s to each."""
        lines = []
        for one in chosen:
            rate = one.packets_per_s if most is None else min(one.packets_per_s, most)
            if rate >= 0:
                words = f"send first $ADDRESS {rate} {one.burst} {one.size} {one.flows}"
                lines.append(f"{seats[one.name].words}\n. /lab/vars.sh\n{words}")
        self.machine.run("\n".join([*lines, ":"]))

    def look(self, *, stop: bool = False) -> Look:
        """Read what can be counted now; `stop`: end the senders first, and let what they sent arrive."""
        text = self.machine.run(
            ("pkill -x send; sleep 0.3\n" if stop else "")
            + "cd /run; for f in *.sent.* *.received; do [ ! -s $f ] || echo $f $(od -An -v -t u8 $f); done\n"
            "cd /lab && python3 -c 'import json, sight; print(json.dumps(sight.Sight().read()))'\n"
            + ("ovs-appctl dpctl/show | grep lookups\n" if "ovs" in self._switches else "")
            + ":",
            limit_s=180,
        )
        look = Look()
        for line in text.splitlines():
            first, *rest = line.split()
            vm = Path(first).name.partition(".")[0]
            if first.startswith("{"):
                look.numbers.update(json.loads(line))
            elif first.endswith(".received"):
                look.received[vm], look.transmitted[vm] = map(int, rest)
            elif ".sent." in first:
                look.sent[vm] = look.sent.get(vm, 0) + int(rest[0])
            else:
                words = (word.partition(":") for word in rest)
                look.numbers.update(
                    {f"datapath {key}": int(value) for key, _, value in words if value.isdigit()}
                )
        return look

    def guest_received(self, seat: Seat) -> int:
        """Ask the Linux guest how many datagrams its receiver was given."""
        return int(self.step(seat, "guest 'grep ^Udp: /proc/net/snmp' | grep '^Udp: [0-9]'").split()[1])

    def collect(self, collector: bytes, options: str) -> bytes:
        """Run the collector in the machine and return its bundle."""
        self.machine.put("/lab/vnetkb-collect", collector, mode=0o755)
        command = (
            f"rm -rf /run/out && mkdir -p /run/out && sh /lab/vnetkb-collect --output /run/out {options}"
        )
        return self.machine.get(self.machine.run(command, limit_s=300).splitlines()[-1])


def _plug(seat: Seat, scenario: Scenario) -> str:
    """Return the shell text that gives a tap libvirt's settings and puts it into its switch."""
    # A switch floods what it knows no place for, and would carry one scenario's packets into others' ports.
    plug = (
        f"ovs-vsctl --timeout=30 add-port br1 $TAP\novs-appctl fdb/add br1 $TAP 0 {seat.mac}"
        if seat.switch == "ovs"
        else f"ip link set $TAP master $BRIDGE\nbridge fdb replace {seat.mac} dev $TAP master static"
    )
    return (
        f"ip link set $TAP address fe:54{seat.mac[5:]} txqueuelen {scenario.tx_queue_len} mtu 1500\n"
        f"tc qdisc replace dev $TAP root noqueue\nip link set $TAP up\n{plug}\n"
        f"ip -n lan neigh replace $ADDRESS lladdr {seat.mac} dev to-$LAN nud permanent"
    )


def _stand_in(seat: Seat, settings: str) -> str:
    """Return the shell text that starts a stand-in for a VM, which looks like QEMU from outside."""
    joining = ",mrg_rxbuf=off" if "mergeable=0" in settings else ""
    words = [
        "-name", f"guest={seat.vm},debug-threads=on",
        "-netdev", f"tap,id=hostnet0,ifname={seat.tap},vhost=on",
        "-device", f"virtio-net-pci,netdev=hostnet0,id=net0,mac={seat.mac}{joining}",
    ]  # fmt: skip
    command = shlex.join(["exec", "-a", "qemu-system-x86_64", "/lab/vhostvm", *words])
    setting = f"VHOSTVM=tap={seat.tap} number={seat.number + 1} count=/run/{seat.vm}.received {settings}"
    return (
        f"(exec setsid env {shlex.quote(setting)} bash -c {shlex.quote(command)}"
        " >/run/$VM.log 2>&1 </dev/null) &\n"
        "echo $! >/run/$VM.pid\nn=0\n"
        "until grep -qsx 'CPU 0/KVM' /proc/$(cat /run/$VM.pid)/task/*/comm; do\n"
        "  n=$((n + 1)); [ $n -lt 50 ] || { cat /run/$VM.log >&2; exit 1; }; sleep 0.1\n"
        "done"
    )
