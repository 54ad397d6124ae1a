# SPDX-License-Identifier: Apache-2.0
"""What stands in a machine before a scenario begins: a bridge, a VM with vhost=on on a vnet, a sender.

The settings are those that libvirt gives: noqueue on the tap, a fe:54 address, QEMU's threads with names.
"""

import shlex
from dataclasses import dataclass

from vnetlab import images
from vnetlab.images import LabError
from vnetlab.machine import Machine

VM = "web01"
TAP = "vnet0"
HOST_ADDRESS = "10.77.0.1"
GUEST_ADDRESS = "10.77.0.2"
GUEST_MAC = "52:54:00:aa:bb:01"


@dataclass(frozen=True)
class Counts:
    """What the tap counted at one moment; packets since it exists."""

    tx_packets: int
    tx_dropped: int


class Stage:
    """One machine with its VM."""

    def __init__(self, machine: Machine) -> None:
        """Keep the machine; nothing is started yet."""
        self.machine = machine
        self._sender: int | None = None

    def start_vm(self, *, guest: str, tx_queue_len: int, vhost: bool) -> None:
        """Start the VM; `guest` is "linux" (takes packets) or "firmware" (has no driver)."""
        run = self.machine.run
        run(
            f"modprobe tun && modprobe vhost_net && ip link add br0 type bridge"
            f" && ip addr add {HOST_ADDRESS}/24 dev br0 && ip link set br0 up"
        )
        vhost_switch = "on" if vhost else "off"
        command = [
            *images.guest_command(), "-name", f"guest={VM},debug-threads=on", "-pidfile", f"/run/{VM}.pid",
            "-netdev", f"tap,id=hostnet0,ifname={TAP},script=no,downscript=no,vhost={vhost_switch}",
            "-device", images.GUEST_NIC, "-serial", f"unix:/run/{VM}.serial,server=on,wait=off",
            "-qmp", f"unix:/run/{VM}.qmp,server=on,wait=off",
        ]  # fmt: skip
        if guest == "linux":
            command += ["-kernel", "/state/vmlinuz", "-initrd", "/state/initrd", *images.GUEST_BOOT]
            command += ["-incoming", "exec:cat /state/saved"]
        self.machine.start(shlex.join(command), log=f"/run/{VM}.log")
        self.machine.wait_for(f"[ -e /sys/class/net/{TAP} ] && [ -S /run/{VM}.qmp ]")
        # The bridge takes over the address of its first port, and with that forgets its neighbours.
        run(
            f"ip link set {TAP} address fe:54:00:aa:bb:01 txqueuelen {tx_queue_len} master br0"
            f" && tc qdisc replace dev {TAP} root noqueue && ip link set {TAP} up"
            f" && ip neigh replace {GUEST_ADDRESS} lladdr {GUEST_MAC} dev br0 nud permanent"
        )
        if guest == "linux":
            # The guest was stopped when its state was saved, so it is stopped when that is loaded.
            loaded = ". /lab/vars.sh; qmp query-status | grep -q paused || ! kill -0 $QEMU"
            self.machine.wait_for(f"{loaded}", limit_s=180)
            ran = self.machine.try_run(". /lab/vars.sh; qmp cont && guest true")
            if ran.status != 0:
                raise LabError(f"the guest does not go on: {self.machine.run(f'cat /run/{VM}.log')}")

    def send(self, packets_per_s: float, burst: int) -> None:
        """Begin to send to the guest."""
        self._sender = self.machine.start(
            f"python3 /lab/send.py {GUEST_ADDRESS} {packets_per_s} {burst}", log="/run/sent"
        )

    def stop_sending(self) -> int:
        """End the sender and return how many packets it sent."""
        if self._sender is None:
            return 0
        self.machine.run(f"kill {self._sender}; while kill -0 {self._sender} 2>/dev/null; do sleep 0.1; done")
        self._sender = None
        return int(self.machine.run("cat /run/sent"))

    def step(self, script: str, *, limit_s: float = 120) -> str:
        """Run a scenario's shell text, with the names of vars.sh, and return what it printed."""
        return self.machine.run(f". /lab/vars.sh\n{script}", limit_s=limit_s)

    def counts(self) -> Counts:
        """Read the counters of the tap."""
        folder = f"/sys/class/net/{TAP}/statistics"
        sent, dropped = self.machine.run(f"cat {folder}/tx_packets {folder}/tx_dropped").split()
        return Counts(int(sent), int(dropped))

    def collect(self, collector: bytes, options: str) -> bytes:
        """Run the collector in the machine and return its bundle."""
        self.machine.put("/lab/vnetkb-collect", collector, mode=0o755)
        command = f"mkdir -p /run/out && sh /lab/vnetkb-collect --output /run/out {options}"
        return self.machine.get(self.machine.run(command, limit_s=300).splitlines()[-1])

    def describe(self) -> str:
        """Say what the machine knows of the VM's threads, for the log of a run."""
        return self.step("echo qemu $QEMU worker $WORKER vcpu $VCPU; tail -n 5 /run/web01.log")
