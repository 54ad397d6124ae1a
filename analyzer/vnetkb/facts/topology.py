# SPDX-License-Identifier: Apache-2.0
"""Who belongs to whom on a host: tap, file owner, reader, VM, guest NIC, bridge or OVS port."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.softnet import Softnet
from vnetkb.facts.switch import Switch
from vnetkb.facts.trace_join import TracedDrop, join
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.parsers.proc_cmdline import Cmdline
    from vnetkb.parsers.sysfs_net_links import DeviceLinks
    from vnetkb.parsers.tc_qdisc import Qdisc


DEFAULT_RECEIVE_BUFFERS = 256

# rtnl_link_ops.kind of each driver, as `ip -d link` prints it, to the first part of its counters' names.
KIND_OF_LINK = {
    "bond": "bond",
    "bridge": "bridge",
    "macvtap": "macvtap",
    "openvswitch": "ovs_internal",
    "veth": "veth",
    "vlan": "vlan",
}
ARPHRD_LOOPBACK = "772"  # include/uapi/linux/if_arp.h


class Reader(NamedTuple):
    """Whoever takes packets out of a tap's ring.

    Attributes:
        kind: vhost-kthread, vhost-thread, qemu, process or none; None when it cannot be known.
        pids: Processes that hold the tap's file.
        threads: Threads that do the reading, as far as they can be told apart.
        inferred: True when the threads were matched by order or not told apart at all.
        captures: Members that the join rests on.
        why_unknown: Why ``kind`` is None.
        missing: Capture ids that would make it known.
    """

    kind: str | None
    pids: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    inferred: bool = False
    captures: tuple[str, ...] = ()
    why_unknown: str = ""
    missing: tuple[str, ...] = ()


class Topology:
    """Joins over the captures of one host; each is computed on first use."""

    def __init__(self, tables: Tables) -> None:
        """Keep the tables; nothing is joined yet."""
        self.tables = tables
        self._vm_of: dict[str, str | None] = {}
        self._readers: dict[str, Reader] = {}
        self._links: dict[int, dict[str, Any]] = {}
        self.ovs_doubles: bool | None = None

    @cached_property
    def taps(self) -> tuple[str, ...]:
        """Names of the host's tun and tap devices.

        Those with ``tun_flags`` in sysfs (tun.c tun_attrs), in name order.
        """
        names: set[str] = set()
        for n in self.tables.snapshots:
            rows = self.tables.get("sysfs-net", n)
            if rows:
                names.update(name for name, device in rows.items() if "tun_flags" in device.attributes)
            else:
                names.update(link.ifname for link in self.links(n).values() if link.kind == "tun")
        return tuple(sorted(names))

    @cached_property
    def other_devices(self) -> dict[str, str]:
        """Every other network device by name, with the first part of its counters' names.

        ``nic`` has hardware (or another hypervisor's device) behind it; ``netdev`` is any device whose kind
        is not known or has no counters of its own in the knowledge base. The loopback device is left out.
        """
        taps = set(self.taps)
        found: dict[str, str] = {}
        for n in self.tables.snapshots:
            places = self.tables.get("sysfs-net-links", n) or {}
            devices = self.tables.get("sysfs-net", n) or {}
            for name in (*devices, *self.links(n)):
                if name in taps or name in found:
                    continue
                device, link, place = devices.get(name), self.links(n).get(name), places.get(name)
                if name == "lo" or (device is not None and device.attributes.get("type") == ARPHRD_LOOPBACK):
                    continue
                found[name] = _kind_of(link.kind if link is not None else None, place)
        return dict(sorted(found.items()))

    @cached_property
    def softnet(self) -> Softnet:
        """The host's receive queues of the CPUs."""
        return Softnet(self.tables)

    def links(self, n: int) -> dict[str, Any]:
        """Rows of ``ip -s -d link`` of snapshot ``n`` by device name, from JSON or, failing that, text."""
        if n not in self._links:
            rows = self.tables.get("ip-link", n) or self.tables.get("ip-link-text", n) or ()
            self._links[n] = {row.ifname: row for row in rows}
        return self._links[n]

    def links_path(self, n: int) -> str:
        """Member that :meth:`links` was read from."""
        return self.tables.path("ip-link" if self.tables.get("ip-link", n) else "ip-link-text", n)

    @cached_property
    def _owners(self) -> dict[str, list[Any]] | None:
        rows = self.tables.once("tun-fdinfo")
        if rows is None:
            return None
        owners: dict[str, list[Any]] = {}
        for row in rows:
            if row.device:
                owners.setdefault(row.device, []).append(row)
        return owners

    def held_devices(self) -> list[str]:
        """Names of the devices that processes of the host hold, in whatever network namespace they are."""
        return sorted(self._owners or {})

    def owners(self, tap: str) -> tuple[Any, ...] | None:
        """Open files attached to the tap (pid, fd), in fd order; None when not all could be seen.

        Without root the files of other users' processes are invisible, so an empty answer means nothing.
        """
        if self._owners is None:
            return None
        found = tuple(sorted(self._owners.get(tap, ()), key=lambda row: (row.pid, row.fd)))
        return found if found or self.tables.bundle.manifest.root else None

    @cached_property
    def _cmdlines(self) -> dict[int, Any]:
        return self.tables.once("proc-cmdline") or {}

    @cached_property
    def _status(self) -> dict[int, Any]:
        merged: dict[int, Any] = {}
        for n in self.tables.snapshots:
            merged.update(self.tables.get("proc-status", n) or {})
        return merged

    @cached_property
    def _workers(self) -> dict[int, list[tuple[int, int]]]:
        """Vhost workers (tid, process) by the pid in their name ``vhost-<pid>`` (drivers/vhost/vhost.c)."""
        workers: dict[int, list[tuple[int, int]]] = {}
        for tid, row in sorted(self._status.items()):
            prefix, _, owner = row.name.partition("-")
            if prefix == "vhost" and owner.isdigit():
                workers.setdefault(int(owner), []).append((tid, row.pid))
        return workers

    @cached_property
    def _threads(self) -> dict[int, list[int]]:
        threads: dict[int, list[int]] = {}
        for tid, row in sorted(self._status.items()):
            threads.setdefault(row.pid, []).append(tid)
        return threads

    @cached_property
    def _files_of(self) -> dict[int, list[Any]]:
        files: dict[int, list[Any]] = {}
        for rows in (self._owners or {}).values():
            for row in rows:
                files.setdefault(row.pid, []).append(row)
        return {pid: sorted(rows, key=lambda row: int(row.fd)) for pid, rows in files.items()}

    def is_qemu(self, pid: int) -> bool:
        """True when the process is QEMU, by the base name of its first argument or its thread name."""
        line = self._cmdlines.get(pid)
        names = [PurePosixPath(line.argv0).name] if line is not None and line.argv0 else []
        if pid in self._status:
            names.append(self._status[pid].name)
        return any(name.startswith(("qemu-system", "qemu-kvm")) or name == "kvm" for name in names)

    def process_name(self, pid: int) -> str:
        """Thread name of the process's first thread, for texts; ``process`` when not captured."""
        return str(self._status[pid].name) if pid in self._status else "process"

    @cached_property
    def traced(self) -> dict[str, list[TracedDrop]] | None:
        """Refused transmits that the trace saw, by device; None without a usable trace."""
        trace = self.tables.get("trace", None, scope="series")
        if trace is None:
            return None
        drops: dict[str, list[TracedDrop]] = {}
        for drop in join(trace.events):
            drops.setdefault(drop.device, []).append(drop)
        return drops

    def reader(self, tap: str) -> Reader:
        """Who reads the tap's ring; the sources are fdinfo, thread names and QEMU's arguments."""
        if tap not in self._readers:
            self._readers[tap] = self._find_reader(tap)
        return self._readers[tap]

    def _find_reader(self, tap: str) -> Reader:
        fdinfo = self.tables.once_path("tun-fdinfo")
        owners = self.owners(tap)
        if owners is None:
            why = (
                self.tables.why("tun-fdinfo", self.tables.first)
                if self._owners is None
                else tr("not collected as root")
            )
            return Reader(None, why_unknown=why, missing=("tun-fdinfo",))
        if not owners:
            return Reader("none", captures=(fdinfo,))
        pids = tuple(sorted({row.pid for row in owners}))
        captures = (fdinfo, *self.tables.paths("proc-status")[:1])
        workers = [worker for pid in pids for worker in self._workers.get(pid, ())]
        if workers and len(pids) == 1:
            kind = "vhost-thread" if workers[0][1] == pids[0] else "vhost-kthread"
            threads, inferred = self._own_workers(tap, pids[0], [tid for tid, _ in workers])
            return Reader(kind, pids, threads, inferred, captures)
        if any(self.is_qemu(pid) for pid in pids):
            return Reader("qemu", pids, pids[:1], inferred=len(pids) > 1, captures=captures)
        threads = tuple(tid for pid in pids for tid in self._threads.get(pid, [pid]))
        return Reader("process", pids, threads, inferred=len(pids) > 1, captures=captures)

    def _own_workers(self, tap: str, pid: int, workers: list[int]) -> tuple[tuple[int, ...], bool]:
        """Workers of this tap among all of the process.

        QEMU opens files and starts workers queue by queue.
        """
        files = self._files_of.get(pid, [])
        if len(workers) == 1 and len(files) == 1:
            return (workers[0],), False
        if len(workers) == len(files):
            return tuple(tid for tid, row in zip(workers, files, strict=True) if row.device == tap), True
        return tuple(workers), True

    def holds_other_taps(self, tap: str) -> bool:
        """Whether a process that holds the tap's file holds that of another tap too."""
        return any(row.device != tap for pid in self.reader(tap).pids for row in self._files_of.get(pid, ()))

    def cpus(self, threads: tuple[int, ...]) -> str | None:
        """CPUs that threads may run on (``Cpus_allowed_list``); None when not known or not the same."""
        lists = {self._status[tid].cpus_allowed_list for tid in threads if tid in self._status}
        return str(next(iter(lists))) if len(lists) == 1 and None not in lists else None

    def vcpu_threads(self, tap: str) -> tuple[int, ...] | None:
        """VCPU threads of the VM behind the tap (``CPU n/KVM``, QEMU with debug-threads=on).

        None when not told apart.
        """
        found = tuple(
            tid
            for pid in self.reader(tap).pids
            for tid in self._threads.get(pid, ())
            if self._status[tid].name.startswith("CPU ") and "/" in self._status[tid].name
        )
        return found or None

    @cached_property
    def _domain_interfaces(self) -> dict[str, tuple[str, str | None]]:
        """Tap name to (domain, guest MAC) as libvirt has it; its XML first, else domiflist, else domstats."""
        found: dict[str, tuple[str, str | None]] = {}
        for n in self.tables.snapshots:
            for name, stats in (self.tables.get("virsh-domstats", n) or {}).items():
                for interface in stats.interfaces:
                    found.setdefault(interface.name, (name, None))
        for domain in self.tables.once("virsh-dumpxml") or ():
            for interface in domain.interfaces:
                if interface.target:
                    found[interface.target] = (domain.name, interface.mac)
        return found

    @cached_property
    def _qemu_nics(self) -> dict[str, dict[str, str]]:
        """Tap name to the arguments of its NIC (-device), by QEMU's own arguments and the files it holds."""
        device_of_fd = {(row.pid, row.fd): tap for tap, rows in (self._owners or {}).items() for row in rows}
        found: dict[str, dict[str, str]] = {}
        for pid, line in self._cmdlines.items():
            nics = {device.get("netdev"): device for device in line.devices()}
            for netdev in line.netdevs():
                fds = (netdev.get("fds") or netdev.get("fd") or "").split(":")
                names = {netdev.get("ifname")} | {
                    device_of_fd.get((pid, int(fd))) for fd in fds if fd.isdigit()
                }
                for name in names - {None}:
                    found[str(name)] = nics.get(netdev.get("id"), {})
        return found

    def vm(self, tap: str) -> str | None:
        """Name of the VM that the tap belongs to; None when it belongs to none or that is not known."""
        if tap not in self._vm_of:
            self._vm_of[tap] = self._find_vm(tap)
        return self._vm_of[tap]

    def domain(self, tap: str) -> str | None:
        """Name by which libvirt knows the VM behind a tap; None where nothing says that libvirt runs it.

        Its own word says so, else QEMU's arguments: libvirt calls each network backend hostnet0, hostnet1 …
        and hands it the open file (src/qemu/qemu_command.c); the name in ``-name guest=`` is then its own.
        """
        if tap in self._domain_interfaces:
            return self._domain_interfaces[tap][0]
        listed = self._domains
        for row in self.owners(tap) or ():
            line = self._cmdlines.get(row.pid)
            name = line.guest_name() if line is not None else None
            if line is not None and name and (name in listed or _is_of_libvirt(line)):
                return str(name)
        return None

    def is_domain(self, vm: str) -> bool:
        """Whether libvirt knows a VM of this name."""
        return vm in self._domains or any(self.domain(tap) == vm for tap in self.taps)

    @cached_property
    def _domains(self) -> frozenset[str]:
        """Names that libvirt lists in any snapshot."""
        found = {name for n in self.tables.snapshots for name in self.tables.get("virsh-domstats", n) or ()}
        return frozenset(found | {domain.name for domain in self.tables.once("virsh-dumpxml") or ()})

    def _find_vm(self, tap: str) -> str | None:
        if tap in self._domain_interfaces:
            return self._domain_interfaces[tap][0]
        for row in self.owners(tap) or ():
            line = self._cmdlines.get(row.pid)
            guest = line.guest_name() if line is not None else None
            if guest:
                return str(guest)
            if self.is_qemu(row.pid):
                return f"QEMU {row.pid}"
        return None

    def guest_mac(self, tap: str) -> str | None:
        """MAC address of the guest's NIC behind the tap, from libvirt or QEMU's arguments."""
        return self._domain_interfaces.get(tap, (None, None))[1] or self._qemu_nics.get(tap, {}).get("mac")

    @cached_property
    def _qdiscs(self) -> dict[int, dict[str, list[Qdisc]]]:
        found: dict[int, dict[str, list[Qdisc]]] = {}
        for n in self.tables.snapshots:
            of_device = found.setdefault(n, {})
            for row in self.tables.get("tc-qdisc", n) or self.tables.get("tc-qdisc-text", n) or ():
                of_device.setdefault(row.dev, []).append(row)
        return found

    def qdiscs(self, device: str, n: int) -> Sequence[Qdisc]:
        """Queueing disciplines of a device in snapshot ``n``, from JSON or, failing that, text."""
        return self._qdiscs.get(n, {}).get(device, ())

    def nic_argument(self, tap: str, key: str) -> str | None:
        """One of QEMU's arguments (-device) for the guest's NIC; None where it is not given or not seen."""
        return self._qemu_nics.get(tap, {}).get(key)

    def nic_id(self, tap: str) -> str | None:
        """Id of the guest's NIC behind the tap in QEMU's arguments; None when it has none."""
        return self._qemu_nics.get(tap, {}).get("id")

    def receive_buffers(self, tap: str) -> int | None:
        """Size of the guest's receive virtqueue: how many buffers it can have posted for each queue.

        QEMU's rx_queue_size, or its default of 256 (hw/net/virtio-net.c); None where QEMU's arguments for
        this NIC were not seen.
        """
        nic = self._qemu_nics.get(tap)
        if not nic:
            return None
        size = nic.get("rx_queue_size", str(DEFAULT_RECEIVE_BUFFERS))
        return int(size) if size.isdigit() else None

    @cached_property
    def vms(self) -> frozenset[str]:
        """VMs seen on the host: those libvirt runs and those that hold a tap."""
        running: set[str] = set()
        for n in self.tables.snapshots:
            running.update(
                name for name, s in (self.tables.get("virsh-domstats", n) or {}).items() if s.interfaces
            )
        return frozenset(running | {vm for tap in self.taps if (vm := self.vm(tap))})

    def master(self, tap: str) -> str | None:
        """Device that the tap is a port of (a bridge, a bond, ``ovs-system``).

        None when none or not known.
        """
        for n in self.tables.snapshots:
            rows = self.tables.get("sysfs-net-links", n) or {}
            if tap in rows and rows[tap].master:
                return str(rows[tap].master)
            link = self.links(n).get(tap)
            if link is not None and link.master:
                return str(link.master)
        return None

    @cached_property
    def switch(self) -> Switch:
        """Joins over Open vSwitch's tables."""
        return Switch(self.tables)

    @cached_property
    def _ovs_bridges(self) -> dict[str, str]:
        """Interface name to its Open vSwitch bridge."""
        return self.switch.bridge_of

    def port_of(self, tap: str) -> str | None:
        """Bridge (Linux or Open vSwitch) that the tap is a port of; None when none or not known."""
        return self._ovs_bridges.get(tap) or self.master(tap)


def _is_of_libvirt(line: Cmdline) -> bool:
    return any(
        (netdev.get("id") or "").startswith("hostnet") and {"fd", "fds"} & netdev.keys()
        for netdev in line.netdevs()
    )


def _kind_of(link_kind: str | None, place: DeviceLinks | None) -> str:
    """Return the kind of a device that is no tap: by its driver, else by what sysfs shows beside it."""
    if link_kind is not None:
        return KIND_OF_LINK.get(link_kind, "netdev")
    if place is None:
        return "netdev"
    if place.is_bridge:
        return "bridge"
    if place.is_bond:
        return "bond"
    return "nic" if place.driver else "netdev"
