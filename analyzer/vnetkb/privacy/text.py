# SPDX-License-Identifier: Apache-2.0
"""Masks any text: addresses by their form, names by what is known of them, whatever they stand in.

Text is bytes decoded as latin-1, one character a byte, so that nothing is lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb.privacy.pseudonyms import parse_ipv6

if TYPE_CHECKING:
    from collections.abc import Callable

    from vnetkb.privacy.pseudonyms import Pseudonyms

_RUN = re.compile(r"[0-9A-Za-z_.:-]+")
_H2, _H4, _H8 = "[0-9A-Fa-f]{2}", "[0-9A-Fa-f]{4}", "[0-9A-Fa-f]{8}"
UUID = re.compile(rf"(?<![0-9A-Za-z]){_H8}([-_]){_H4}\1{_H4}\1{_H4}\1{_H4}{_H8}(?![0-9A-Za-z])")
MAC = re.compile(rf"(?<![0-9A-Za-z]){_H2}(?:(?::{_H2}){{5,}}|(?:-{_H2}){{5}})(?![0-9A-Za-z])")
IPV6 = re.compile(r"[0-9A-Fa-f:.]+")  # nothing that could be tried in two ways
ARPA4 = re.compile(
    r"(?<![0-9A-Za-z])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa", re.IGNORECASE
)
ARPA6 = re.compile(r"(?<![0-9A-Za-z])((?:[0-9a-f]\.){32})ip6\.arpa", re.IGNORECASE)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(rf"(?<![0-9A-Za-z.]){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9A-Za-z]|\.[0-9])")
# The release in the name of a file, such as vmlinuz-RELEASE.
_BEFORE_KEPT, _AFTER_KEPT = re.compile("[_-]$|^$"), re.compile("[^0-9A-Za-z](?![0-9])|$")
_PIECES = re.compile(r"[0-9A-Za-z]+|[^0-9A-Za-z]+")
_MAC_GROUPS = 6
_LONGEST_CACHED = 80
_CACHE = 200_000
_MOST_TOKENS = 64  # of a name within a longer run; the scan finds one of more


class Masker:
    """Replaces what must not be seen in a text."""

    def __init__(self, pseudonyms: Pseudonyms, keep: str = "") -> None:
        """Mask by these pseudonyms; in the text `keep` (the kernel's release) only names are replaced."""
        self.pseudonyms = pseudonyms
        self._keep = keep
        self._cache: dict[str, str] = {}
        self._forms: tuple[tuple[re.Pattern[str], Callable[[str], str | None]], ...] = (
            (UUID, pseudonyms.uuid),
            (MAC, self._mac),
            (IPV6, self._ipv6),
            (ARPA4, self._arpa4),
            (ARPA6, self._arpa6),
            (IPV4, pseudonyms.ipv4),
        )

    def forget(self) -> None:
        """Forget what was masked how, as more names are known now."""
        self._cache.clear()

    def text(self, text: str) -> str:
        """Return a text with every known name and every address replaced."""
        text = self.odd_text(text)
        return _RUN.sub(lambda found: self.run(found[0]), text)

    def names(self, text: str) -> str:
        """Return a text with every known name replaced, and nothing for looking like an address.

        A version such as ``5.10.0-60.18.0.50.oe2203`` holds what looks like one.
        """
        return _RUN.sub(lambda found: self._named(found[0]), self.odd_text(text))

    def _named(self, run: str) -> str:
        known = None if run.isdigit() else self._known(run)
        return known if known is not None else self._words(run)

    def odd_text(self, text: str) -> str:
        """Return a text with every known name replaced that holds blanks and the like."""
        for name in self.pseudonyms.odd_in(text):
            text = text.replace(name, self.pseudonyms.odd[name])
        return text

    def learn_macs(self, text: str) -> None:
        """Give every MAC address of a text its pseudonym."""
        for found in MAC.finditer(text):
            self._mac(found[0])

    def run(self, run: str) -> str:
        """Return a run of letters, digits and ``_.:-``, masked."""
        if run.isdigit():
            return run
        masked = self._cache.get(run)
        if masked is None:
            masked = self._run(run)
            if len(run) <= _LONGEST_CACHED and len(self._cache) < _CACHE:
                self._cache[run] = masked
        return masked

    def _run(self, run: str) -> str:
        if run == self._keep:
            return self._named(run)
        known = self._known(run)
        if known is not None:
            return known
        before, keep, after = run.partition(self._keep) if self._keep else (run, "", "")
        if keep and _BEFORE_KEPT.search(before) and _AFTER_KEPT.match(after):
            return self._run(before) + self._named(keep) + self._run(after)
        return self._by_form(run, 0)

    def _by_form(self, run: str, first: int) -> str:
        """Replace addresses, the form `first` and those after it; what is between them may hold names."""
        for number in range(first, len(self._forms)):
            pattern, replace = self._forms[number]
            pieces: list[str] = []
            end = 0
            for found in pattern.finditer(run):
                masked = replace(found[0])
                if masked is not None:
                    pieces += (self._between(run[end : found.start()], number + 1), masked)
                    end = found.end()
            if pieces:
                return "".join((*pieces, self._between(run[end:], number + 1)))
        return self._words(run)

    def _between(self, text: str, first: int) -> str:
        if not text:
            return ""
        known = self._known(text)
        return known if known is not None else self._by_form(text, first)

    def _known(self, text: str) -> str | None:
        forms = self.pseudonyms.forms.get(text)
        return forms if forms is not None else self.pseudonyms.folded.get(text.lower())

    def _words(self, run: str) -> str:
        """Replace known names that stand between separators, the longest first."""
        pieces = _PIECES.findall(run)
        masked: list[str] = []
        at = 0
        longest = min(self.pseudonyms.longest, _MOST_TOKENS)
        while at < len(pieces):
            for end in range(min(at + 2 * longest - 1, len(pieces)), at, -1):
                known = self._known("".join(pieces[at:end])) if pieces[at].isalnum() else None
                if known is not None:
                    masked.append(known)
                    at = end
                    break
            else:
                masked.append(pieces[at])
                at += 1
        return "".join(masked)

    def _mac(self, text: str) -> str:
        separator = text[2]
        groups = text.lower().split(separator)
        masked = self.pseudonyms.mac("".join(groups[-_MAC_GROUPS:]))
        zeros = ["00"] * (len(groups) - _MAC_GROUPS)
        joined = separator.join([*zeros, *(masked[at : at + 2] for at in range(0, 12, 2))])
        return joined.upper() if text != text.lower() else joined

    def _ipv6(self, text: str) -> str | None:
        if text.count(":") < 2:  # noqa: PLR2004  # the fewest of an address
            return None
        lead = ":" if text.startswith(":") and not text.startswith("::") else ""
        core = text[len(lead) :].rstrip(".")
        if core.endswith(":") and not core.endswith("::"):
            core = core[:-1]
        groups = ipv6_groups(core)
        if groups is None:
            return None
        return lead + self.pseudonyms.ipv6(groups) + text[len(lead) + len(core) :]

    def _arpa4(self, text: str) -> str:
        octets = text.split(".")[:4]
        return (
            ".".join(reversed(self.pseudonyms.ipv4(".".join(reversed(octets))).split("."))) + ".in-addr.arpa"
        )

    def _arpa6(self, text: str) -> str:
        digits = "".join(reversed(text.split(".")[:32]))
        masked = parse_ipv6(self.pseudonyms.ipv6([int(digits[at : at + 4], 16) for at in range(0, 32, 4)]))
        return ".".join(reversed("".join(f"{group:04x}" for group in masked or []))) + ".ip6.arpa"


def ipv6_groups(text: str) -> list[int] | None:
    """Return the groups of an IPv6 address that is not ``::`` or ``::1``; None otherwise.

    ``800::800`` and the like are handles of tc's u32 filters, ``0::`` stands in cgroup files.
    """
    written = [group for group in text.split(":") if group]
    if len(written) <= 2 and all(len(group) <= 3 for group in written):  # noqa: PLR2004  # as said above
        return None
    groups = parse_ipv6(text)
    return None if groups is None or (not any(groups[:7]) and groups[7] <= 1) else groups


def is_address(text: str) -> bool:
    """Tell whether a text is one address or UUID and nothing else."""
    return any(pattern.fullmatch(text) for pattern in (UUID, MAC, IPV4)) or (
        text.count(":") > 1 and ipv6_groups(text) is not None
    )
