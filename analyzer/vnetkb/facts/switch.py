# SPDX-License-Identifier: Apache-2.0
"""Joins over Open vSwitch's tables: which interface is a port of what, and which monitoring watches it."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.deltas import difference
from vnetkb.facts.vlans import carried

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.facts.tables import Tables

# Names, numbers and what stands between them in the actions of a datapath flow.
_PIECES = re.compile(r"[^(),]+|[(),]")
# Actions in whose brackets a bare number is a port (lib/odp-util.c format_odp_action); in meter(3) it is not.
_SENDING = frozenset({"", "actions", "clone", "gt", "le", "out_port", "tnl_pop"})
_NUMBERS = re.compile(r"[0-9]+")
# lib/ofp-actions.c format_SAMPLE.
_SAMPLES = re.compile(r"\bsample\([^()]*\bcollector_set_id=([0-9]{1,10})\b")
KERNEL = "system"
REFRESH_S = 5.0


class Mirror(NamedTuple):
    """One mirror of a bridge.

    Attributes:
        name: Its name; may be empty.
        bridge: Its bridge.
        outputs: Interfaces that the copies go to; empty where they go to a VLAN.
        output_vlan: VLAN that the copies go to.
        sources: Interfaces whose packets are copied; None for all of the bridge, empty for none.
        copies: Copies that it sent meanwhile, as far as that is known.
        arriving: Interfaces of which it copies what comes in by them; None for all of the bridge.
        leaving: Interfaces of which it copies what leaves by them; None for all of the bridge.
        vlans: VLANs of which alone it copies packets; empty for all.
    """

    name: str
    bridge: str
    outputs: tuple[str, ...]
    output_vlan: int | None
    sources: frozenset[str] | None
    copies: int | None
    arriving: frozenset[str] | None
    leaving: frozenset[str] | None
    vlans: frozenset[int] = frozenset()


class Switch:
    """Joins over the tables Bridge, Port, Interface and those of monitoring; each computed on first use."""

    def __init__(self, tables: Tables) -> None:
        """Keep the tables; nothing is joined yet."""
        self.tables = tables
        # Each of hundreds of ports asks for its own.
        self._datapath_ports: dict[int, dict[str, Any]] = {}
        self._openflow_ports: dict[int, dict[tuple[str, str], Any]] = {}
        self._rows: dict[int, dict[str, dict[str, Any]]] = {}
        self._sampling: dict[str, dict[int, int] | None] = {}

    @cached_property
    def version(self) -> tuple[int, ...] | None:
        """Numbers of the version of a running Open vSwitch; None where none runs or that is not known.

        The database's own word comes first: the tool may be of another version than the daemon.
        """
        rows = self.tables.once("ovs-open-vswitch") or ()
        text = next((row["ovs_version"] for row in rows if isinstance(row.get("ovs_version"), str)), None)
        if text is None and self.interfaces:
            text = self.tables.once("ovs-version")
        numbers = tuple(int(part) for part in _NUMBERS.findall(text or "")[:3])
        return numbers or None

    @cached_property
    def refresh_s(self) -> float:
        """After how many seconds at the latest the statistics in the database are refreshed.

        vswitch.xml, other_config:stats-update-interval, in milliseconds and 5 s at the least.
        """
        rows = self.tables.once("ovs-open-vswitch") or ()
        settings = [row["other_config"] for row in rows if isinstance(row.get("other_config"), dict)]
        asked = [one.get("stats-update-interval") for one in settings]
        known = [
            int(text) / 1000 for text in asked if isinstance(text, str) and text.isascii() and text.isdigit()
        ]
        return max([REFRESH_S, *known])

    @cached_property
    def interfaces(self) -> dict[str, dict[str, Any]]:
        """Rows of the table Interface by name, of the last snapshot that has each."""
        found: dict[str, dict[str, Any]] = {}
        for n in self.tables.snapshots:
            found |= {str(row.get("name")): row for row in self.tables.get("ovs-interface", n) or ()}
        return found

    @cached_property
    def _ports(self) -> dict[str, dict[str, Any]]:
        """Rows of the table Port by interface name."""
        names = {str(row.get("_uuid")): name for name, row in self.interfaces.items()}
        return {
            names[uuid]: port
            for port in self.tables.once("ovs-port") or ()
            for uuid in several(port.get("interfaces"))
            if uuid in names
        }

    @cached_property
    def _bridges(self) -> dict[str, dict[str, Any]]:
        """Rows of the table Bridge by the UUID of each of their ports."""
        return {
            uuid: bridge
            for bridge in self.tables.once("ovs-bridge") or ()
            for uuid in several(bridge.get("ports"))
        }

    def port(self, interface: str) -> dict[str, Any] | None:
        """Return the row of the table Port that the interface belongs to."""
        return self._ports.get(interface)

    def bridge(self, interface: str) -> dict[str, Any] | None:
        """Return the row of the table Bridge that the interface belongs to."""
        port = self.port(interface)
        return self._bridges.get(str(port.get("_uuid"))) if port is not None else None

    @cached_property
    def bridge_of(self) -> dict[str, str]:
        """The bridge of every interface, by name."""
        found = {name: self.bridge(name) for name in self.interfaces}
        return {name: str(row.get("name")) for name, row in found.items() if row is not None}

    def members(self, bridge: str) -> tuple[str, ...]:
        """Return the interfaces of a bridge, in name order."""
        return tuple(sorted(name for name, of in self.bridge_of.items() if of == bridge))

    def datapath_type(self, interface: str) -> str | None:
        """Return ``system`` (the kernel's) or ``netdev`` (in userspace); None where it is not known."""
        bridge = self.bridge(interface)
        if bridge is None or "datapath_type" not in bridge:
            return None
        return str(bridge["datapath_type"] or "") or KERNEL

    def shown_as(self, interface: str, field: str) -> str | None:
        """Return the name under which Open vSwitch shows a statistic of a device; None where it is not known.

        lib/netdev-linux.c netdev_tap_get_stats swaps the directions of taps that ovs-vswitchd itself holds.

        Args:
            interface: Name of the interface.
            field: The kernel's name of the statistic.
        """
        row = self.interfaces.get(interface)
        if row is None or "type" not in row:
            return None
        key, kind, datapath = OVS_NAMES.get(field, field), row["type"] or "", self.datapath_type(interface)
        if kind == "internal" and datapath is None:
            return None
        held = kind == "tap" or (kind == "internal" and datapath != KERNEL)
        return SWAPPED.get(key, key) if held else key

    @cached_property
    def mirrors(self) -> tuple[Mirror, ...]:
        """Every mirror of every bridge."""
        rows: dict[str, dict[str, Any]] = {}
        values: dict[str, list[int | None]] = {}
        for n in self.tables.snapshots:
            for row in self.tables.get("ovs-mirror", n) or ():
                uuid = str(row.get("_uuid"))
                rows[uuid] = row
                counted = row.get("statistics")
                sent = counted.get("tx_packets") if isinstance(counted, dict) else None
                values.setdefault(uuid, []).append(sent if isinstance(sent, int) else None)
        return tuple(
            self._mirror(rows[uuid], str(bridge.get("name")), values[uuid])
            for bridge in self.tables.once("ovs-bridge") or ()
            for uuid in several(bridge.get("mirrors"))
            if uuid in rows
        )

    def _mirror(self, row: dict[str, Any], bridge: str, values: list[int | None]) -> Mirror:
        arriving = several(row.get("select_src_port"))
        leaving = several(row.get("select_dst_port"))
        chosen = {*arriving, *leaving}
        vlans = several(row.get("output_vlan"))
        # vswitchd/bridge.c mirror_configure: without select_all only the ports that are named.
        everything = row.get("select_all") is not False and (row.get("select_all") is True or not chosen)
        moved = difference(values[0], values[-1], same_device=None, u32=False) if len(values) > 1 else None
        return Mirror(
            str(row.get("name") or ""),
            bridge,
            self._interfaces_of(several(row.get("output_port"))),
            int(vlans[0]) if vlans and vlans[0].isdigit() else None,
            None if everything else frozenset(self._interfaces_of(chosen)),
            moved,
            None if everything else frozenset(self._interfaces_of(arriving)),
            None if everything else frozenset(self._interfaces_of(leaving)),
            frozenset(int(vlan) for vlan in several(row.get("select_vlan")) if vlan.isdigit()),
        )

    def copied(self, mirror: Mirror, interface: str) -> bool | None:
        """Whether a mirror copies what passes an interface, as far as its VLANs go.

        None where some of it may be in other VLANs. ofproto/ofproto-dpif-xlate.c mirror_packet asks for the
        VLAN that a packet has inside the bridge.
        """
        if not mirror.vlans:
            return True
        own = carried(self.port(interface))
        if own is None:
            return None
        if not own.vlans & mirror.vlans:
            return False
        return True if own.vlans <= mirror.vlans else None

    def not_answered(self, capture: str, n: int) -> frozenset[str]:
        """Return the bridges of which a capture that asks each of them holds no answer.

        Args:
            capture: Id of the capture, with a line ``@ BRIDGE`` before each answer.
            n: Number of the snapshot.
        """
        blocks = self.blocks(capture, n)
        names = {str(bridge.get("name")) for bridge in self.tables.once("ovs-bridge") or ()}
        return frozenset(names) if blocks is None else frozenset(names - blocks)

    def blocks(self, capture: str, n: int) -> frozenset[str] | None:
        """Return the bridges or datapaths that a capture holds an answer of; None where it was not read."""
        if self.tables.get(capture, n) is None:
            return None
        return frozenset(self.tables.get(capture, n, parser="ethtool_blocks"))

    def unread(self, interface: str, column: str) -> tuple[str, ...]:
        """Return what would tell which monitoring of a kind watches an interface's bridge.

        Empty where that is known: the bridge names none, or every row that it names was read.

        Args:
            interface: Name of the interface.
            column: ``mirrors``, ``sflow``, ``netflow`` or ``ipfix``, as the table Bridge names it.
        """
        bridge, capture = self.bridge(interface), MONITORING[column]
        if bridge is None:
            return self.joining_unread(interface)
        if column not in bridge:
            return ("ovs-bridge",)
        snapshots = [self.tables.get(capture, n) or () for n in self.tables.snapshots]
        read = {str(row.get("_uuid")): row for rows in snapshots for row in rows}
        needed = MIRROR_COLUMNS if column == "mirrors" else ()
        whole = all(uuid in read and read[uuid].keys() >= {*needed} for uuid in several(bridge[column]))
        return () if whole else (capture,)

    def joining_unread(self, interface: str) -> tuple[str, ...]:
        """Return the tables that would tell of which bridge an interface is a port.

        Empty where it is one, or where every table was read and none names it.
        """
        if self.bridge(interface) is not None:
            return ()
        found = tuple(name for name in ("ovs-port", "ovs-bridge") if not self.tables.once(name))
        if interface in self.interfaces:
            return found
        unread = not self.interfaces or any(self.is_cut("ovs-interface", n) for n in self.tables.snapshots)
        # Without a bridge there is no port; a host without Open vSwitch has none.
        return ("ovs-interface",) if unread and len(found) < len(("ovs-port", "ovs-bridge")) else ()

    def is_cut(self, capture: str, n: int) -> bool:
        """Return whether the collector cut a capture at a limit: what it lacks is not known."""
        kept = self.tables.bundle.capture(capture, n)
        return kept is not None and kept.truncated

    def _interfaces_of(self, ports: Any) -> tuple[str, ...]:  # noqa: ANN401 - any iterable of UUIDs
        return tuple(sorted(n for n, row in self._ports.items() if str(row.get("_uuid")) in set(ports)))

    def sampled(self, interface: str, column: str) -> dict[str, Any] | None:
        """Return the row of sFlow, NetFlow or IPFIX that watches the interface's bridge.

        Args:
            interface: Name of the interface.
            column: ``sflow``, ``netflow`` or ``ipfix``, as the table Bridge names it.
        """
        bridge = self.bridge(interface)
        wanted = several(bridge.get(column)) if bridge is not None else []
        rows = self.tables.once(f"ovs-{column}") or ()
        return next((row for row in rows if str(row.get("_uuid")) in wanted), None)

    def sampling_rules(self, bridge: str) -> dict[int, int] | None:
        """Return how many rules of a bridge sample for each set of collectors; None where not all were read.

        Args:
            bridge: Name of the bridge.
        """
        if bridge not in self._sampling:
            self._sampling[bridge] = self._sampling_rules(bridge)
        return self._sampling[bridge]

    def _sampling_rules(self, bridge: str) -> dict[int, int] | None:
        read = [n for n in self.tables.snapshots if bridge in (self.blocks("ovs-dump-flows", n) or ())]
        if not read or self.is_cut("ovs-dump-flows", read[-1]):
            return None
        found: dict[int, int] = {}
        for row in self.tables.get("ovs-dump-flows", read[-1]):
            for number in set(_SAMPLES.findall(row.actions)) if row.bridge == bridge else ():
                found[int(number)] = found.get(int(number), 0) + 1
        return found

    def sample_collectors(self, bridge: str) -> dict[int, dict[str, Any]] | None:
        """Return the rows of IPFIX by the number of their set of collectors; None where they were not read.

        Args:
            bridge: Name of the bridge.
        """
        sets, rows = self.tables.once("ovs-sample-collectors"), self.tables.once("ovs-ipfix")
        if sets is None or rows is None:
            return None
        uuids = {str(b.get("_uuid")) for b in self.tables.once("ovs-bridge") or () if b.get("name") == bridge}
        ipfix = {str(row.get("_uuid")): row for row in rows}
        return {
            one["id"]: ipfix.get(next(iter(several(one.get("ipfix"))), ""), {})
            for one in sets
            if isinstance(one.get("id"), int) and str(one.get("bridge")) in uuids
        }

    def sent_by_flows(self, interface: str, since: str | None = None) -> int | None:
        """Return how many packets the datapaths' flows sent to the interface between the snapshots.

        Of a flow that is new its whole count; those that went meanwhile are missed, so it is a lower bound.
        Where the collector cut the flows, those that both snapshots show, and None where these tell of none.
        None as well where the flows were not taken, or name a port by a number that the bundle does not
        explain: up to 2.7 lib/odp-util.c prints numbers in the actions, though names in the match.

        Args:
            interface: Name of the interface.
            since: The interface by which they came in; None for any.
        """

        def goes(row: Any) -> bool | None:  # noqa: ANN401 - as the parser types it
            ends = self._named(row.datapath, sent_to(row.actions))
            starts = self._named(row.datapath, frozenset({row.in_port or ""}))
            leads, comes = _within(interface, ends), since is None or _within(since, starts)
            return False if leads is False or comes is False else (leads and comes)

        return self._moved_by_flows(goes)

    def _named(self, datapath: str, ports: frozenset[str]) -> frozenset[str | None]:
        """Ports of a datapath by name, None for a number whose name is not known."""
        return frozenset(
            self._port_names.get((datapath, int(port))) if _NUMBERS.fullmatch(port) else port
            for port in ports
        )

    @cached_property
    def _port_names(self) -> dict[tuple[str, int], str | None]:
        """Names of the datapaths' ports by number; None where a number had more than one."""
        found: dict[tuple[str, int], str | None] = {}
        for n in self.tables.snapshots:
            for datapath in self.tables.get("ovs-datapath", n) or ():
                for port in datapath.ports:
                    key = (datapath.name, port.number)
                    found[key] = port.name if found.get(key, port.name) == port.name else None
        return found

    def dropped_by_flows(self) -> int | None:
        """Return how many packets went to flows of the datapaths whose action is ``drop``, as above."""
        return self._moved_by_flows(lambda row: row.actions == "drop")

    def _moved_by_flows(self, wanted: Callable[[Any], bool | None]) -> int | None:
        capture = "ovs-datapath-flows"
        read = [n for n in self.tables.snapshots if self.tables.get(capture, n) is not None]
        if len(read) < 2 or self.datapaths_unread:  # noqa: PLR2004
            return None
        first, last = (
            {(row.datapath, row.match): row for row in self.tables.get(capture, n)}
            for n in (read[0], read[-1])
        )
        cut = [self.is_cut(capture, n) for n in (read[0], read[-1])]
        moved = 0
        for key, row in last.items():
            if key not in first and cut[0]:
                # It may have been there before, below the cut.
                continue
            before = first[key].packets if key in first else 0
            more = row.packets - before if row.packets >= before else row.packets
            chosen = wanted(row) if more else False
            if chosen is None:
                return None
            moved += more if chosen else 0
        return moved if moved or not any(cut) else None

    @property
    def flows_are_cut(self) -> bool:
        """Whether the collector cut the datapaths' flows of a snapshot at a limit."""
        return any(self.is_cut("ovs-datapath-flows", n) for n in self.tables.snapshots)

    @cached_property
    def datapaths_unread(self) -> frozenset[str]:
        """Kinds of datapath that bridges use, and of which a snapshot's flows hold no answer."""
        rows = self.tables.once("ovs-bridge") or ()
        kinds = {str(row["datapath_type"] or "") or KERNEL for row in rows if "datapath_type" in row}
        answers = [self.blocks("ovs-datapath-flows", n) for n in self.tables.snapshots]
        read = [{name.partition("@")[0] for name in blocks} for blocks in answers if blocks is not None]
        return frozenset(kind for kind in kinds if not all(kind in each for each in read))

    @cached_property
    def over_mtu(self) -> tuple[tuple[float | None, str], ...]:
        """What the kernel said of packets over a port's MTU: seconds after boot, and the line.

        net/openvswitch/vport.c ovs_vport_send, rate limited.
        """
        lines = self.tables.once("kernel-log") or ()
        return tuple((line.seconds, line.text) for line in lines if ": dropped over-mtu packet:" in line.text)

    def datapath_port(self, interface: str, n: int) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the port of a datapath that ``dpctl/show -s`` of snapshot ``n`` shows for the interface."""
        if n not in self._datapath_ports:
            self._datapath_ports[n] = {
                port.name: port
                for datapath in reversed(self.tables.get("ovs-datapath", n) or ())
                for port in reversed(datapath.ports)
            }
        return self._datapath_ports[n].get(interface)

    def interface(self, name: str, n: int) -> dict[str, Any] | None:
        """Return the row of the table Interface of snapshot ``n``."""
        if n not in self._rows:
            self._rows[n] = {str(row.get("name")): row for row in self.tables.get("ovs-interface", n) or ()}
        return self._rows[n].get(name)

    def openflow_port(self, interface: str, n: int) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the port that ``ovs-ofctl dump-ports`` of snapshot ``n`` shows for the interface."""
        if n not in self._openflow_ports:
            rows = self.tables.get("ovs-dump-ports", n) or ()
            self._openflow_ports[n] = {(port.bridge, port.port): port for port in reversed(rows)}
        row, bridge = self.interfaces.get(interface), self.bridge_of.get(interface) or ""
        number = row.get("ofport") if row is not None else None
        ports = self._openflow_ports[n]
        return ports.get((bridge, "LOCAL" if number == LOCAL else str(number))) or ports.get(
            (bridge, interface)
        )


# Columns of the table Bridge that name monitoring, with the capture that holds the rows named.
MONITORING = {"mirrors": "ovs-mirror", "sflow": "ovs-sflow", "netflow": "ovs-netflow", "ipfix": "ovs-ipfix"}
# Without these it is not known what a mirror copies, or where to; every Open vSwitch from 1.0 on has them.
MIRROR_COLUMNS = (
    "output_port", "output_vlan", "select_all", "select_dst_port", "select_src_port", "select_vlan",
)  # fmt: skip
# Where Open vSwitch names a statistic in its own way (lib/netdev-linux.c and vswitchd/bridge.c IFACE_STATS).
OVS_NAMES = {
    "rx_frame_errors": "rx_frame_err",
    "rx_over_errors": "rx_over_err",
    "rx_crc_errors": "rx_crc_err",
}
SWAPPED = {
    f"{one}_{what}": f"{other}_{what}"
    for one, other in (("rx", "tx"), ("tx", "rx"))
    for what in ("packets", "bytes", "errors", "dropped")
}
LOCAL = 65534  # OFPP_LOCAL, the bridge's own port


@lru_cache(maxsize=8192)
def sent_to(actions: str) -> frozenset[str]:
    """Return the ports that the actions of a datapath flow send to, as they are printed: names or numbers."""
    found, around, word = set(), [""], ""
    for piece in _PIECES.findall(f"{actions},"):
        if piece not in "(),":
            word = piece.strip()
            continue
        if piece == "(":
            around.append(word)
        elif word and (around[-1] in _SENDING or not _NUMBERS.fullmatch(word)):
            found.add(word)
        if piece == ")" and len(around) > 1:
            around.pop()
        word = ""
    return frozenset(found)


def _within(name: str, names: frozenset[str | None]) -> bool | None:
    return True if name in names else None if None in names else False


def several(value: object) -> list[str]:
    """Members of an OVSDB set, which stands for a single member without its set."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
