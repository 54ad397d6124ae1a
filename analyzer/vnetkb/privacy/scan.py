# SPDX-License-Identifier: Apache-2.0
"""Looks for what masking may have missed: what the map knows, in any form, and addresses and secrets.

It shares no code with the masking itself but the map, so that a blind spot of one is none of the other.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.privacy.find import Finder
from vnetkb.privacy.pseudonyms import CONTEXT_ONLY, coded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vnetkb.privacy.pseudonyms import Pseudonyms

_MAC = re.compile(r"(?i)(?<![0-9a-z])(?:[0-9a-f]{2}[:-]){5,}[0-9a-f]{2}(?![0-9a-z])")
_FLOW_MAC = re.compile(
    r":0x([0-9a-fA-F]+)->[A-Za-z_]{0,40}(?:(?:ETH|eth)_(?:SRC|DST|src|dst)|_(?:SHA|THA|SLL|TLL|sha|tha|sll|tll))"
)
_UUID = re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}(?![0-9a-z])")
_DOTTED = re.compile(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])")
_VERSIONS = re.compile(r"^(?:(?:firmware-)?version: .*|Linux version [0-9][^ \n]*)", re.MULTILINE)
_COLONS = re.compile(r"[0-9A-Fa-f:.]+")
_SECRET = re.compile(
    r"(?i)-----BEGIN|\bAKIA[0-9A-Z]{16}\b"
    # of the guest agent's commands one is called so
    r"|(?:(?<!guest-set-user-)passw(?:or)?d|passphrase|secret|api[_-]?key|private[_-]?key|authorization|token|\bpsk)"
    r"[\"']?\s*[=:,]\s*[\"']?(?![\"']?\(cut out\))[^\s\"',]{3}"
)
_SHORT = 3
_LONG = 6
_REMEMBERED = 80
_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that must not be in a masked bundle.

    Attributes:
        member: The member that holds it.
        line: The line in it, from 1.
        what: Its kind, never the thing itself.
    """

    member: str
    line: int
    what: str


def scan(members: Mapping[str, str], pseudonyms: Pseudonyms, keep: str) -> list[Leak]:
    """Return what is left in the masked texts, at most the first 20 findings.

    Args:
        members: Masked texts by member path; the names of guests in the paths are looked at as well.
        pseudonyms: The map; also tells which addresses are pseudonyms.
        keep: Text that is allowed although it may look like an address: the kernel's release, masked.
    """
    known = _Known(pseudonyms)
    leaks: list[Leak] = []
    for member, text in members.items():
        whole = f"{_guest(member)}\n{text}"
        whole = whole.replace(keep, "") if keep else whole
        for at, what in _leaks(whole, pseudonyms, known):
            leaks.append(Leak(member, max(whole.count("\n", 0, at), 1), what))
            if len(leaks) >= _AT_MOST:
                return leaks
    return leaks


def _guest(member: str) -> str:
    """Return the name of the guest in a path, all else of which is vnetkb's words."""
    return member.split("/")[1] if member.startswith("guest/") else ""


def _known(pseudonyms: Pseudonyms) -> Iterator[tuple[str, str]]:
    """Yield every form of every original, small letters, with its kind."""
    for kind, _, original in pseudonyms.rows:
        if kind in CONTEXT_ONLY:
            continue
        forms = {original}
        if kind == "ipv6-address":
            forms.add(ipaddress.IPv6Address(original).exploded.replace(":", ""))
        elif kind in {"mac-address", "uuid"}:
            forms.add(re.sub("[:-]", "", original))
        elif len(original) >= _LONG:
            forms.update(coded(original))
        yield from ((kind, form.lower()) for form in forms if len(form) >= _SHORT)


class _Known:
    """Every form of every original; words that hold none are looked at once."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self.kinds = {form: kind for kind, form in reversed(list(_known(pseudonyms)))}
        self._blank = [form for form in self.kinds if len(form.split()) != 1 or form != form.strip()]
        self._finder = Finder(self.kinds.keys() - set(self._blank))
        self._blanks = Finder(self._blank)
        self._clean: set[str] = set()

    def present(self, text: str) -> set[str]:
        """Return the forms that stand in a text, by themselves or not."""
        found = self._blanks.present(text) if self._blank else set()
        for word in set(text.split()) - self._clean:
            held = self._finder.present(word)
            found |= held
            if not held and len(word) <= _REMEMBERED:
                self._clean.add(word)
        return found


def _leaks(text: str, pseudonyms: Pseudonyms, known: _Known) -> Iterator[tuple[int, str]]:
    folded = text.lower()
    for form in sorted(known.present(folded)):
        at = folded.find(form)
        while at >= 0:
            if _stands_alone(folded, at, len(form)):
                yield at, f"{known.kinds[form]} that the map knows"
                break
            at = folded.find(form, at + 1)
    yield from _looks_like_key(text, pseudonyms)


def _looks_like_key(text: str, pseudonyms: Pseudonyms) -> Iterator[tuple[int, str]]:
    for found in _SECRET.finditer(text):
        yield found.start(), "what looks like a secret"
    for found in _MAC.finditer(text):
        digits = re.sub("[:-]", "", found[0]).lower()
        # of longer hardware addresses masking keeps only the end
        head, digits = digits[:-12].strip("0"), digits[-12:]
        if head or (digits not in pseudonyms.issued and not _kept_mac(digits)):
            yield found.start(), "what looks like a MAC address"
    for found in _FLOW_MAC.finditer(text):
        digits = found[1].lower().zfill(12)
        if digits not in pseudonyms.issued and not _kept_mac(digits):
            yield found.start(), "what looks like a MAC address"
    yield from _looks_like_id(text, pseudonyms)


def _looks_like_id(text: str, pseudonyms: Pseudonyms) -> Iterator[tuple[int, str]]:
    for found in _UUID.finditer(text):
        digits = re.sub("[-_]", "", found[0]).lower()
        if digits not in pseudonyms.issued and digits != "0" * 32:
            yield found.start(), "what looks like a UUID"
    for found in _DOTTED.finditer(_VERSIONS.sub("", text)):
        if found[0] not in pseudonyms.issued and not _kept_ipv4(found[0]):
            yield found.start(), "what looks like an IPv4 address"
    for found in _COLONS.finditer(text):
        if not _kept_ipv6(found[0].strip(".").removeprefix(":"), pseudonyms):
            yield found.start(), "what looks like an IPv6 address"


def _stands_alone(text: str, at: int, length: int) -> bool:
    """Tell whether a form stands by itself there; a long one is a finding inside a word too."""
    if length >= _LONG and not text[at : at + length].isalpha():
        return True
    before, after = text[at - 1 : at], text[at + length : at + length + 1]
    return not (before.isalnum() and before.isascii()) and not (after.isalnum() and after.isascii())


def _kept_mac(digits: str) -> bool:
    return digits in {"0" * 12, "f" * 12} or digits.startswith(("01005e0000", "33330000", "0180c20000"))


def _kept_ipv4(text: str) -> bool:
    octets = [int(part) for part in text.split(".")]
    return max(octets) > 255 or octets[0] in {0, 127, 255} or octets[:3] == [224, 0, 0]  # noqa: PLR2004  # an octet


def _kept_ipv6(text: str, pseudonyms: Pseudonyms) -> bool:
    text = text[:-1] if text.endswith(":") and not text.endswith("::") else text
    groups = [group for group in text.split(":") if group]
    if len(groups) <= 2 and all(len(group) <= 3 for group in groups):  # noqa: PLR2004  # handles of tc, 0::
        return True
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return True
    if address.ipv4_mapped is not None:
        mapped = str(address.ipv4_mapped)
        return mapped in pseudonyms.issued or _kept_ipv4(mapped)
    low = int(address) & ((1 << 112) - 1)
    return address.exploded in pseudonyms.issued or (address.is_multicast and low < 0x200)  # noqa: PLR2004  # RFC 2375
