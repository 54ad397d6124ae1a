# SPDX-License-Identifier: Apache-2.0
"""`virsh domiflist` of every domain in one virsh, each after a line ``@ DOMAIN``, in the C locale."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_HEADER = ["Interface", "Type", "Source", "Model", "MAC"]


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """One interface of a domain; None where virsh prints ``-``.

    Attributes:
        target: Device on the host; None while the domain is shut off.
        type: ``bridge``, ``network``, ``direct``, ``vhostuser`` and so on.
        source: Bridge, network or device it is connected to.
        model: Model of the guest's network card.
        mac: MAC address of the guest's network card.
    """

    target: str | None
    type: str
    source: str | None
    model: str | None
    mac: str | None


def parse(data: bytes) -> dict[str, list[InterfaceRow]]:
    """Return the interfaces by domain, in the words of the ``@`` lines (its UUID).

    Raises:
        ParseError: Rows come before the first ``@`` line or the header, or have fewer than five columns.
    """
    domains: dict[str, list[InterfaceRow]] = {}
    current: list[InterfaceRow] | None = None
    headed = False
    for number, line in lines(data):
        words = line.split()
        if not words or set(line.strip()) == {"-"}:
            continue
        if line.startswith("@ "):
            current, headed = domains.setdefault(line[2:].strip(), []), False
        elif words == _HEADER:
            headed = True
        elif current is None or not headed or len(words) < len(_HEADER):
            raise ParseError(line, "'@ DOMAIN', the header, then rows of five columns", number)
        else:
            target, kind, *source, model, mac = words
            current.append(
                InterfaceRow(_cell(target), kind, _cell(" ".join(source)), _cell(model), _cell(mac))
            )
    return domains


def _cell(text: str) -> str | None:
    return None if text == "-" else text
