# SPDX-License-Identifier: Apache-2.0
"""Names in the logs of the kernel and of Open vSwitch: most are of devices and machines that are gone.

No list of the bundle knows those, so they are taken from where messages hold them: before the first colon,
after ``device``, ``port 7(``, ``bond … now`` and the like (net/core/dev.c, net/bridge/br_stp.c,
net/sched/sch_generic.c, drivers/net/bonding; Open vSwitch: vswitchd/bridge.c, ofproto/bond.c).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from vnetkb.privacy.flows import mask_bytes, mask_flows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.privacy.captures import Context

_KERNEL = re.compile(
    r"(?:device |dev |interface |port [0-9]+\(|\(slave |WATCHDOG: |packet on |renamed from "
    r"|ADDRCONF\([A-Z_]+\): )([^ (),]+)"
)
_PCI = re.compile(r"[^ :]+ [0-9a-f]+:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]\.[0-9a-f] ")
_FIRST = re.compile(r"([^][ ():|]+): ")
_SWITCH = re.compile(
    r"(?:interface|port|member|slave|bond|bridge|mirror|netdev|device|now|open|\) on) [\"']?([^ \"'(),;]+)"
)
_MOVED = re.compile(r"hash [0-9]+\) from ([^ ]+) to ([^ ]+)")
_PORT = re.compile(r"(?:in_port=|in_port\(|output:)\"?([^][\"(), ]+)")
_CAPITALS = re.compile(r"[A-Z_]+")
_FIRST_ONES = 3
_PIPES = 4
_STARTS = re.compile(r"([^] ():[]+)(\[[0-9]+\]: | invoked oom-killer)")
_SAID = re.compile(r"audit[:(]|[Kk]ernel command line|Command line|[Uu]nknown kernel command")
_CODED = re.compile(
    r"((?:comm|exe|name|path|proctitle|cwd|acct|cmd|unit)=)[0-9A-F]{4,}"
)  # audit_log_untrustedstring()
_PLACES = re.compile(
    r"(comm=\")([^\"]*)|(Hardware name: )(.*)"
    r"|([Pp]rocess [0-9]+ \()([^)]*)|(task=)([^,]*)|(Comm: )([^ ]*)|(task )([^ :]+)(?=:[0-9]+ blocked)"
    r"|(task:)([^ ]+)(?= +state:)"
    r"|((?:cpuset|oom_memcg|task_memcg)=)([^,]*)|(\[)([^][ :]+)(?=:[0-9]+\])"
    r"|(machine-(?:qemu|lxc)\\x2d[0-9]+\\x2d[^ /,]{1,300})|(qemu-[0-9]+-)([0-9A-Za-z_-]+)"
    r"|(ll header: (?:[0-9a-f]+: )?)([0-9a-f][0-9a-f](?: [0-9a-f][0-9a-f])*)"
)


def devices_in_kernel_log(text: str, words: frozenset[str]) -> Iterator[str]:
    """Yield what stands where messages of the kernel name a device, but for known words."""
    for line in text.split("\n"):
        message = line.partition("] ")[2]
        names = [found[1] for found in _KERNEL.finditer(message)]
        pci = _PCI.match(message)
        names += _first(message[pci.end() :] if pci is not None else message)
        yield from _told(names, words)


def devices_in_switch_log(text: str, words: frozenset[str]) -> Iterator[str]:
    """Yield what stands where messages of ovs-vswitchd name a device, but for known words."""
    for line in text.split("\n"):
        message = line.split("|", _PIPES)[_PIPES:]
        if message:
            yield from devices_in_message(message[0], words)


def devices_in_message(message: str, words: frozenset[str]) -> Iterator[str]:
    """Yield what stands where a message of Open vSwitch names a device, but for known words."""
    names = [found[1] for found in _SWITCH.finditer(message)]
    names += [name for found in _MOVED.finditer(message) for name in found.groups()]
    yield from _told([*names, *_first(message)], words)


def ports_in_flows(text: str, words: frozenset[str]) -> Iterator[str]:
    """Yield the ports that flows name, which may stand in no list that was taken."""
    for line in text.split("\n"):
        yield from _told([found[1] for found in _PORT.finditer(line)], words)


def _first(message: str) -> list[str]:
    names: list[str] = []
    for _ in range(_FIRST_ONES):
        found = _FIRST.match(message)
        if found is None:
            break
        names.append(found[1])
        message = message[found.end() :]
    return names


def _told(names: list[str], words: frozenset[str]) -> Iterator[str]:
    for name in names:
        told = name.rstrip(":.").rpartition("@")[2]
        if not _CAPITALS.fullmatch(told) and told.lower() not in words:
            yield told


def mask_kernel_log(text: str, context: Context) -> str:
    """Return the kernel's log, masked: names of processes, cgroups and machines where they stand."""
    return "\n".join(_line(row, context) for row in text.split("\n"))


def _line(row: str, context: Context) -> str:
    head, mark, message = row.partition("] ")
    if not mark:
        head, message = "", row
    start = _STARTS.match(message)
    if start is not None and start[2].startswith("["):
        said = context.name("process", start[1]) + start[2] + context.words(message[start.end() :])
        return context.text(head + mark) + said
    if _SAID.match(message):
        return context.text(head + mark) + context.words(_CODED.sub(r"\1(coded)", message))
    if start is not None:
        head, message = head + mark + context.name("process", start[1]), message[start.end(1) :]
        mark = ""
    return context.text(head + mark + _PLACES.sub(partial(_named, context), message))


def _named(context: Context, found: re.Match[str]) -> str:
    kind = found.lastindex or 0
    before, name = found[kind - 1] or "", found[kind]
    if before.startswith(("cpuset", "oom_memcg", "task_memcg")):
        return before + context.path(name)
    if before.startswith("ll header"):
        return before + mask_bytes(name, " ", context)
    if before.startswith("qemu-"):
        return before + context.machine(name)
    if name.startswith("machine-"):
        return context.path(name)
    return before + context.name("process", name)


def mask_switch_log(text: str, context: Context) -> str:
    """Return the log of ovs-vswitchd, masked: it quotes flows."""
    return mask_flows(text, context)
