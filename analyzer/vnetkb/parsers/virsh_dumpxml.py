# SPDX-License-Identifier: Apache-2.0
"""`virsh dumpxml` of every domain, one document after the other.

The elements are described in libvirt's docs/formatdomain.rst. The text is read with expat's events, so
neither a tree nor an entity is ever built, and document types are refused before expat sees them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORBIDDEN = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)|<\?xml-", re.IGNORECASE)
_DECLARATION = re.compile(r"<\?xml [^>]{0,200}\?>")
_END = re.compile(r"^</domain>[ \t\r]*$", re.MULTILINE)
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class DomainInterface:
    """One network interface of a domain; None where the XML does not say.

    Attributes:
        type: ``bridge``, ``network``, ``ethernet``, ``direct``, ``vhostuser``, ``hostdev`` and so on.
        mac: MAC address of the guest's network card.
        target: Device on the host.
        source: Attributes of ``<source>``: ``bridge``, ``network``, ``dev``, ``mode``.
        model: ``virtio``, ``e1000e`` and so on.
        driver: Attributes of ``<driver>``: ``name`` (vhost or qemu), ``queues``, ``rx_queue_size``,
            ``tx_queue_size``.
        virtualport: Type of ``<virtualport>``: ``openvswitch``.
        mtu: Bytes.
        link: ``up`` or ``down``.
        alias: Name of the device in QEMU, ``net0``.
        filter: Name of the nwfilter.
        bandwidth: Attributes of ``<inbound>`` and ``<outbound>``: average, peak, burst, in KiB/s and KiB.
    """

    type: str | None = None
    mac: str | None = None
    target: str | None = None
    source: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    driver: dict[str, str] = field(default_factory=dict)
    virtualport: str | None = None
    mtu: int | None = None
    link: str | None = None
    alias: str | None = None
    filter: str | None = None
    bandwidth: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Domain:
    """One libvirt domain.

    Attributes:
        name: Name of the domain.
        uuid: Its UUID; None where it is not in the text.
        id: Number of a running domain; None for one that is shut off.
        type: ``kvm``, ``qemu`` and so on.
        vcpus: Virtual CPUs in use.
        interfaces: In the order of the XML.
    """

    name: str
    uuid: str | None
    id: int | None
    type: str | None
    vcpus: int | None
    interfaces: tuple[DomainInterface, ...]


def parse(data: bytes) -> list[Domain]:
    """Return the domains in the order of the text.

    Raises:
        ParseError: A document is not well-formed XML, is no domain, has no name, or holds a document type.
    """
    text = decode(data).encode("utf-8", "replace").decode("utf-8")
    if (match := _FORBIDDEN.search(text)) is not None:
        raise ParseError(match[0], "XML without a document type")
    return [_domain(document) for document in _documents(text)]


def _documents(text: str) -> Iterator[str]:
    """Yield each document: only the end tag of a domain itself stands at the left margin."""
    position = 0
    for match in _END.finditer(text):
        yield text[position : match.end()]
        position = match.end()
    if text[position:].strip():
        yield text[position:]


class _Gather:
    """What is wanted of one document."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.domain: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.vcpu: dict[str, str] = {}
        self.interfaces: list[dict[str, dict[str, str]]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.path) >= _DEPTH:
            raise ParseError(f"more than {_DEPTH} elements inside each other", "the XML of a domain")
        self.path.append(tag)
        place = "/".join(self.path)
        if place == "domain":
            self.domain = attributes
        elif place == "domain/vcpu":
            self.vcpu = attributes
        elif place == "domain/devices/interface":
            self.interfaces.append({"": attributes})
        elif place.startswith("domain/devices/interface/"):
            self.interfaces[-1].setdefault(place.removeprefix("domain/devices/interface/"), attributes)

    def end(self, _tag: str) -> None:
        self.path.pop()

    def text(self, data: str) -> None:
        if len(self.path) == 2 and self.path[1] in ("name", "uuid", "vcpu"):  # noqa: PLR2004  # directly below domain
            self.texts[self.path[1]] = self.texts.get(self.path[1], "") + data


def _domain(document: str) -> Domain:
    from xml.parsers import expat  # noqa: PLC0415  # only bundles of libvirt hosts pay for the import

    gather = _Gather()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = gather.start
    parser.EndElementHandler = gather.end
    parser.CharacterDataHandler = gather.text
    try:
        text = document.strip()
        declaration = _DECLARATION.match(text)
        parser.Parse(text[declaration.end() :] if declaration else text, True)  # noqa: FBT003  # expat's own signature
    except expat.ExpatError as error:
        raise ParseError(expat.ErrorString(error.code), "well-formed XML", error.lineno) from None
    name = gather.texts.get("name", "").strip()
    if not name:
        raise ParseError(document, "<domain> with a <name>")
    return Domain(
        name=name,
        uuid=gather.texts.get("uuid", "").strip() or None,
        id=_number(gather.domain.get("id")),
        type=gather.domain.get("type"),
        vcpus=_number(gather.vcpu.get("current")) or _number(gather.texts.get("vcpu", "").strip()),
        interfaces=tuple(_interface(found) for found in gather.interfaces),
    )


def _interface(found: dict[str, dict[str, str]]) -> DomainInterface:
    def attribute(element: str, name: str) -> str | None:
        return found.get(element, {}).get(name)

    return DomainInterface(
        type=attribute("", "type"),
        mac=attribute("mac", "address"),
        target=attribute("target", "dev"),
        source=found.get("source", {}),
        model=attribute("model", "type"),
        driver=found.get("driver", {}),
        virtualport=attribute("virtualport", "type"),
        mtu=_number(attribute("mtu", "size")),
        link=attribute("link", "state"),
        alias=attribute("alias", "name"),
        filter=attribute("filterref", "filter"),
        bandwidth={
            way: found[f"bandwidth/{way}"] for way in ("inbound", "outbound") if f"bandwidth/{way}" in found
        },
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004
