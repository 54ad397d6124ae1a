# SPDX-License-Identifier: Apache-2.0
"""The map from names and addresses to pseudonyms, and back.

Pseudonyms are numbered in the order in which things are met, so no key is needed and the same text gives the
same result. Addresses keep their structure: two addresses that share the first n bits have pseudonyms that
share the first n bits (the first octet of IPv4 and the first two groups of IPv6 count as a whole).
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vnetkb.privacy.find import Finder

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {
    "host": "host",
    "domain": "domain",
    "vm": "vm",
    "interface": "if",
    "network": "net",
    "user": "user",
    "process": "proc",
    "cgroup": "cg",
    "text": "text",
    "id": "id",
    "serial": "serial",
}
HOST = "maskedhost1"
CONTEXT_ONLY = frozenset(("process", "cgroup", "text"))
_SIMPLE = re.compile(r"[0-9A-Za-z]+(?:[_.:-]+[0-9A-Za-z]+)*")
_TOKEN = re.compile(r"[0-9A-Za-z]+")
_SHORT = 3
_CODED = 4
_DIGITS_OF_A_WORD = 5
_FIRST_OCTETS = 14
_OCTET = 255
_CLASS_E = 240
_MULTICAST_GROUPS = ("01005e0000", "33330000", "0180c20000")


class Kept:
    """What masking leaves as it is, from kb/masking.yaml."""

    def __init__(self, lists: Mapping[str, Any]) -> None:
        """Take the lists of the file."""
        self.words = frozenset(str(lists["words"]).split())
        self._interfaces = re.compile(lists["plain_interfaces"])
        self._threads = re.compile(lists["plain_threads"])
        self.verbatim = frozenset(lists["verbatim"])
        self.keys = frozenset(lists["kept_keys"])
        self.log_words = frozenset(lists["log_words"])
        self.os_release = frozenset(lists["os_release_keys"])
        self.version_words = frozenset(lists["version_words"])

    def plain(self, text: str) -> bool:
        """Tell whether a text is made of common words, short words and short numbers only."""
        return all(self._plain_token(token) for token in _TOKEN.findall(text))

    def _plain_token(self, token: str) -> bool:
        letters = re.sub(r"[0-9]+", "", token).lower()
        if len(token) - len(letters) > _DIGITS_OF_A_WORD:
            return not letters
        return len(letters) < _SHORT or letters in self.words

    def keeps(self, kind: str, name: str) -> bool:
        """Tell whether a name of this kind stays."""
        if len(name) < _SHORT or name.isdigit():
            return True
        if kind == "interface":
            return bool(self._interfaces.search(name)) or self.plain(name)
        if kind == "process":
            return bool(self._threads.search(name)) or self.plain(name)
        if kind in {"cgroup", "text", "id", "network", "serial"}:
            return self.plain(name)
        return name.lower() in self.words


class Pseudonyms:
    """What is known so far, and the pseudonym of each thing."""

    def __init__(self, kept: Kept) -> None:
        """Begin with nothing known."""
        self.kept = kept
        self.rows: list[tuple[str, str, str]] = []
        self.left: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self._left_names: set[tuple[str, str]] = set()
        self._only_there: set[str] = set()
        self.forms: dict[str, str] = {}
        self.folded: dict[str, str] = {}
        self.odd: dict[str, str] = {}
        self.longest = 1
        self._macs: dict[str, str] = {}
        self._low24: dict[str, str] = {}
        self._tails: dict[str, str] = {}
        self._v4: dict[str, str] = {}
        self._v6: dict[str, str] = {}
        self._uuids: dict[str, str] = {}
        self._first_octets: dict[str, int] = {}
        self._overflow: dict[str, int] = {}
        self._v6_regions: dict[str, int] = {}
        self._bits: dict[str, int] = {}
        self.issued: set[str] = set()

    # ------------------------------------------------------------------------------------------- names

    def name(self, kind: str, original: str) -> str:
        """Return the pseudonym of a name, which is the name itself where it stays."""
        if original in self._names:
            self._learn_at_last(kind, original)
            return self._names[original]
        if original in self.forms:
            return self.forms[original]
        if original.lower() in self.folded:
            return self.folded[original.lower()]
        if self.kept.keeps(kind, original):
            if (kind, original) not in self._left_names:
                self._left_names.add((kind, original))
                self.left[kind] += 1
            return original
        self._numbers[kind] += 1
        pseudonym = f"masked{KINDS[kind]}{self._numbers[kind]}"
        self._names[original] = pseudonym
        self.rows.append((kind, pseudonym, original))
        if kind in CONTEXT_ONLY:
            self._only_there.add(original)
        else:
            self._learn(original, pseudonym)
        return pseudonym

    def _learn_at_last(self, kind: str, original: str) -> None:
        """Learn what was met only where it says nothing elsewhere, and stands for more now."""
        if original in self._only_there and kind not in CONTEXT_ONLY:
            self._only_there.remove(original)
            self.rows.append((kind, self._names[original], original))
            self._learn(original, self._names[original])

    @property
    def learned(self) -> int:
        """Return how many forms are known: where more are than before, what was masked may hold some."""
        return len(self.forms) + len(self.odd)

    def host(self, name: str) -> None:
        """Give this host its pseudonym, which it has even where its name says nothing."""
        self._numbers["host"] = 1
        self.rows.append(("host", HOST, name))
        if not self.kept.keeps("host", name):
            self._names[name] = HOST
            self._learn(name, HOST)

    def _learn(self, original: str, pseudonym: str) -> None:
        if not _SIMPLE.fullmatch(original):
            self.odd.update(dict.fromkeys(_escaped(original), pseudonym))
            self.__dict__.pop("_odd_finder", None)
            return
        self._form(original, pseudonym)
        self.longest = max(self.longest, len(_TOKEN.findall(original)))
        if len(original) >= _CODED:
            for form in coded(original):
                # Of whom is called corp, proc stays what it is.
                if form.lower() not in self.kept.words:
                    self._form(form, pseudonym)

    @cached_property
    def _odd_finder(self) -> Finder:
        return Finder(self.odd)

    def odd_in(self, text: str) -> list[str]:
        """Return the names with blanks and the like that a text holds, the longest first."""
        return sorted(self._odd_finder.present(text), key=len, reverse=True) if self.odd else []

    def _form(self, form: str, pseudonym: str) -> None:
        self.forms.setdefault(form, pseudonym)
        self.folded.setdefault(form.lower(), pseudonym)

    # ------------------------------------------------------------------------------------------- addresses

    def mac(self, digits: str) -> str:
        """Return the pseudonym of a MAC address, both as twelve small hex digits.

        The first octet stays (it tells group and local addresses apart, and libvirt's fe:… from the
        guest's 52:…), so a tap and its guest NIC keep the other five in common.
        """
        if digits in {"0" * 12, "f" * 12} or digits.startswith(_MULTICAST_GROUPS):
            return digits
        if digits.startswith("3333ff"):
            return digits[:6] + self.low24(digits[6:])
        if digits in self._macs:
            return self._macs[digits]
        tail = digits[2:]
        if tail not in self._tails:
            low = self.low24(tail[4:])
            self._tails[tail] = f"4d{self._numbers[low]:02x}{low}"
            self._numbers[low] += 1
        masked = digits[:2] + self._tails[tail]
        self._macs[digits] = masked
        self.rows.append(("mac-address", _colons(masked), _colons(digits)))
        self.issued.add(masked)
        for form, other in (
            (digits, masked),
            (_dots(digits), _dots(masked)),
            ("0000" + digits, "0000" + masked),
        ):
            self._form(form, other)
        return masked

    def low24(self, tail: str) -> str:
        """Return the pseudonym of the last three octets of an address, as they stand in multicast groups."""
        if tail not in self._low24:
            self._low24[tail] = f"{len(self._low24) + 1:06x}"
        self.issued.add("3333ff" + self._low24[tail])
        return self._low24[tail]

    def ipv4(self, text: str) -> str:
        """Return the pseudonym of an IPv4 address, in 240.0.0.0/4; masks and loopback stay."""
        octets = [int(part) for part in text.split(".")]
        if octets[0] in {0, 127, _OCTET} or octets[:3] == [224, 0, 0]:
            return text
        canonical = ".".join(str(octet) for octet in octets)
        if canonical in self._v4:
            return self._v4[canonical]
        masked = ".".join(str(octet) for octet in self._octets(octets))
        self._v4[canonical] = masked
        self.rows.append(("ipv4-address", masked, canonical))
        self.issued.add(masked)
        for form, other in zip(_hex_forms(canonical), _hex_forms(masked), strict=True):
            if not form.isdigit():  # else it is more likely a count
                self._form(form, other)
        return masked

    def _octets(self, octets: list[int]) -> list[int]:
        first = str(octets[0])
        if first not in self._first_octets and len(self._first_octets) < _FIRST_OCTETS:
            self._first_octets[first] = _CLASS_E + len(self._first_octets)
        if first in self._first_octets:
            return [self._first_octets[first], *self._trie(f"4/{first}", octets[1:], 8)]
        pair = f"{first}.{octets[1]}"
        if pair not in self._overflow:
            self._overflow[pair] = len(self._overflow)
        number = self._overflow[pair]
        if number > _OCTET:
            raise OverflowError("more networks than masking has numbers for")
        return [_CLASS_E + _FIRST_OCTETS, number, *self._trie(f"4/{pair}", octets[2:], 8)]

    def _trie(self, prefix: str, parts: list[int], width: int) -> list[int]:
        """Turn bits over so that whatever is met first below a prefix gets the bit 0."""
        masked: list[int] = []
        for part in parts:
            value = 0
            for place in range(width - 1, -1, -1):
                bit = part >> place & 1
                value = value * 2 + (bit != self._bits.setdefault(prefix, bit))
                prefix += str(bit)
            masked.append(value)
        return masked

    def ipv6(self, groups: list[int]) -> str:
        """Return the pseudonym of an IPv6 address of eight groups, in 3fff::/20 or fe80::/64.

        An interface identifier made of a MAC address (EUI-64, RFC 4291 appendix A) becomes that of the MAC
        address's pseudonym.
        """
        canonical = _groups(groups)
        if canonical in self._v6:
            return self._v6[canonical]
        if not any(groups[:7]) and groups[7] <= 1:
            return "::1" if groups[7] else "::"
        if groups[0] >> 8 == _OCTET:
            return self._multicast(groups)
        if groups[:6] == [0, 0, 0, 0, 0, 0xFFFF]:
            dotted = self.ipv4(f"{groups[6] >> 8}.{groups[6] & 255}.{groups[7] >> 8}.{groups[7] & 255}")
            return f"::ffff:{dotted}"
        low = self._identifier(canonical, groups[4:])
        if groups[0] >> 6 == 0xFE80 >> 6:
            masked = "fe80::" + ":".join(low)
        else:
            region = canonical[:9]
            number = self._v6_regions.setdefault(region, len(self._v6_regions) + 1)
            middle = self._trie(f"6/{region}", groups[2:4], 16)
            masked = ":".join(["3fff", f"{number:x}", *(f"{part:x}" for part in middle), *low])
        self._v6[canonical] = masked
        self.rows.append(("ipv6-address", masked, str(ipaddress.IPv6Address(_packed(groups)))))
        self.issued.add(_groups(parse_ipv6(masked) or []))
        self._form(canonical.replace(":", ""), _groups(parse_ipv6(masked) or []).replace(":", ""))
        return masked

    def _identifier(self, canonical: str, groups: list[int]) -> list[str]:
        digits = "".join(f"{group:04x}" for group in groups)
        if digits[6:10] == "fffe":
            mac = self.mac(f"{int(digits[:2], 16) ^ 2:02x}{digits[2:6]}{digits[10:]}")
            digits = f"{int(mac[:2], 16) ^ 2:02x}{mac[2:6]}fffe{mac[6:]}"
            return [f"{int(digits[at : at + 4], 16):x}" for at in range(0, 16, 4)]
        return [f"{part:x}" for part in self._trie(f"6/{canonical[:19]}/", groups, 16)]

    def _multicast(self, groups: list[int]) -> str:
        digits = "".join(f"{group:04x}" for group in groups)
        if digits[4:26] == "0" * 16 + "0001ff":
            return self._solicited(digits)
        if not any(groups[1:7]) and groups[7] < 0x200:  # noqa: PLR2004  # well-known groups, RFC 2375
            return f"{groups[0]:x}::{groups[7]:x}"
        masked = [groups[0], *self._trie("6/multicast", groups[1:], 16)]
        self.issued.add(_groups(masked))
        return ":".join(f"{group:x}" for group in masked)

    def _solicited(self, digits: str) -> str:
        tail = self.low24(digits[26:])
        groups = digits[:26] + tail
        self.issued.add(":".join(groups[at : at + 4] for at in range(0, 32, 4)))
        return ":".join(f"{int(groups[at : at + 4], 16):x}" for at in range(0, 32, 4))

    def uuid(self, text: str) -> str:
        """Return the pseudonym of a UUID, with the separator that the text has."""
        digits = re.sub("[^0-9A-Fa-f]", "", text).lower()
        if digits == "0" * 32:
            return text
        if digits not in self._uuids:
            self._numbers["uuid"] += 1
            masked = f"00000000000040008000{self._numbers['uuid']:012x}"
            self._uuids[digits] = masked
            self.rows.append(("uuid", _dashes(masked), _dashes(digits)))
            self.issued.add(masked)
            self._form(digits, masked)
        return _dashes(self._uuids[digits], text[8])

    def counts(self) -> dict[str, int]:
        """Return how many different things of each kind have a pseudonym."""
        return dict(sorted(Counter(kind for kind, _, _ in self.rows).items()))

    def as_text(self) -> str:
        """Return the map as lines of kind, pseudonym and original, for the customer's side only."""
        head = "# vnetkb masking map: kind, pseudonym, original. Keep it; do not send it.\n"
        rows = (
            "\t".join((kind, masked, re.sub(r"[\t\n\r]", " ", original)))
            for kind, masked, original in self.rows
        )
        return head + "".join(f"{row}\n" for row in rows)


def coded(name: str) -> tuple[str, ...]:
    """Return a name reversed, in hex and in base64, as it might stand in a text."""
    raw = name.encode("latin-1")
    return (name[::-1], raw.hex(), base64.b64encode(raw).decode().rstrip("="))


def parse_ipv6(text: str) -> list[int] | None:
    """Return the eight groups of an IPv6 address; None when it is none."""
    try:
        packed = ipaddress.IPv6Address(text).packed
    except ValueError:
        return None
    return [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]


def _packed(groups: list[int]) -> bytes:
    return b"".join(group.to_bytes(2, "big") for group in groups)


def _groups(groups: list[int]) -> str:
    return ":".join(f"{group:04x}" for group in groups)


def _colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _dots(digits: str) -> str:
    return ".".join(digits[at : at + 4] for at in range(0, 12, 4))


def _dashes(digits: str, separator: str = "-") -> str:
    return separator.join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _hex_forms(address: str) -> list[str]:
    """Return an IPv4 address in hex as kernels and tools write it, in both byte orders."""
    octets = [int(part) for part in address.split(".")]
    big = "".join(f"{octet:02x}" for octet in octets)
    little = "".join(f"{octet:02x}" for octet in reversed(octets))
    return [form for digits in (big, little) for form in (digits, "0x" + digits, "0x" + digits.lstrip("0"))]


def _escaped(name: str) -> list[str]:
    """Return a name as JSON, XML, systemd and libvirt's JSON write it."""
    raw = name.encode("latin-1")
    systemd = "".join(
        chr(byte) if re.fullmatch(r"[0-9A-Za-z:_.]", chr(byte)) else f"\\x{byte:02x}" for byte in raw
    )
    xml = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quoted = xml.replace("'", "&apos;")
    json_text = name.replace("\\", "\\\\").replace('"', '\\"')
    return list(dict.fromkeys((name, json_text, xml, quoted, xml.replace('"', "&quot;"), systemd)))
