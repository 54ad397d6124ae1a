# SPDX-License-Identifier: Apache-2.0
"""`virsh version --daemon` in the C locale."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

_LIBRARY = re.compile(r"^Using library: libvirt (\S+)", re.MULTILINE)
_DAEMON = re.compile(r"^Running against daemon: (\S+)", re.MULTILINE)
_HYPERVISOR = re.compile(r"^Running hypervisor: (\S+) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LibvirtVersion:
    """Versions in use; None where virsh does not say.

    Attributes:
        library: Of the library that virsh uses.
        daemon: Of the daemon that answered.
        hypervisor: ``QEMU``.
        hypervisor_version: Its version.
    """

    library: str
    daemon: str | None
    hypervisor: str | None
    hypervisor_version: str | None


def parse(data: bytes) -> LibvirtVersion:
    """Return the versions.

    Raises:
        ParseError: The line of the library is missing.
    """
    text = decode(data)
    library = _LIBRARY.search(text)
    if library is None:
        raise ParseError(text, "a line 'Using library: libvirt VERSION'")
    daemon, hypervisor = _DAEMON.search(text), _HYPERVISOR.search(text)
    return LibvirtVersion(
        library=library[1],
        daemon=daemon[1] if daemon else None,
        hypervisor=hypervisor[1] if hypervisor else None,
        hypervisor_version=hypervisor[2] if hypervisor else None,
    )
