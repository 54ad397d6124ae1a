# SPDX-License-Identifier: Apache-2.0
"""Arguments of the processes that hold a tap: lines ``PID<tab>argument``.

The first line of a process is its program; for QEMU the options -name, -smp, -netdev and -device (network
cards only) follow with their value, as in ``4711<tab>-netdev tap,fd=27,id=hostnet0,vhost=on``. A value is a
comma list of QEMU's util/qemu-option.c, in which ``,,`` stands for one comma, or a JSON object, which libvirt
passes since 6.10.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ROW = re.compile(r"([0-9]{1,10})\t(.*)")
_ITEM = re.compile(r"(?:[^,]|,,)*")
# the key that a first item without "=" stands for
_IMPLIED = {"-name": "guest", "-smp": "cpus", "-netdev": "type", "-device": "driver"}


@dataclass(frozen=True, slots=True)
class Cmdline:
    """Arguments of one process.

    Attributes:
        argv0: The program as it was called; empty when it is not in the text.
        options: Each option with its value, in order.
    """

    argv0: str
    options: tuple[tuple[str, str], ...] = ()

    def values(self, option: str) -> list[dict[str, str]]:
        """Return the keys and values of every use of `option`; JSON's true and false read on and off."""
        return [
            parse_value(value, _IMPLIED.get(option, "")) for name, value in self.options if name == option
        ]

    def guest_name(self) -> str | None:
        """Return the name of the VM (``-name``), None where it is not given."""
        for value in self.values("-name"):
            if value.get("guest"):
                return value["guest"]
        return None

    def netdevs(self) -> list[dict[str, str]]:
        """Return the network backends: type, id, fd or fds, ifname, vhost, queues and so on."""
        return self.values("-netdev")

    def devices(self) -> list[dict[str, str]]:
        """Return the network cards: driver, netdev, mac, mq, vectors, rx_queue_size, id."""
        return self.values("-device")


def parse(data: bytes) -> dict[int, Cmdline]:
    """Return the arguments by process id.

    Raises:
        ParseError: A line is not ``PID<tab>argument``.
    """
    programs: dict[int, str] = {}
    options: dict[int, list[tuple[str, str]]] = {}
    for number, line in lines(data):
        match = _ROW.fullmatch(line)
        if match is None:
            if not line:
                continue
            raise ParseError(line, "PID<tab>ARGUMENT", number)
        pid, argument = int(match[1]), match[2]
        if pid not in options:
            options[pid] = []
            if not argument.startswith("-"):
                programs[pid] = argument
                continue
        name, _, value = argument.partition(" ")
        options[pid].append((name, value))
    return {pid: Cmdline(programs.get(pid, ""), tuple(found)) for pid, found in options.items()}


def parse_value(value: str, implied: str = "") -> dict[str, str]:
    """Return the keys and values of one QEMU option value.

    Args:
        value: ``tap,fd=27,id=hostnet0`` or ``{"type":"tap","fd":"27","id":"hostnet0"}``.
        implied: The key that a first item without ``=`` stands for; any other item without ``=`` reads
            ``on``.
    """
    if value.startswith("{"):
        return _json_value(value)
    found: dict[str, str] = {}
    position, first = 0, True
    while position <= len(value):
        match = _ITEM.match(value, position)
        item = match[0] if match else ""
        position += len(item) + 1
        key, equals, text = item.partition("=")
        if equals:
            found[key] = text.replace(",,", ",")
        elif first and implied:
            found[implied] = item.replace(",,", ",")
        elif item:
            found[item] = "on"
        first = False
    return found


def _json_value(value: str) -> dict[str, str]:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return {key: _plain(item) for key, item in document.items()}


def _plain(item: object) -> str:
    if isinstance(item, bool):
        return "on" if item else "off"
    return item if isinstance(item, str) else json.dumps(item)
