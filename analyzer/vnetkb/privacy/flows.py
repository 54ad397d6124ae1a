# SPDX-License-Identifier: Apache-2.0
"""Masks addresses that flow tables of Open vSwitch hold as numbers and bytes.

``load:0xfa163e778899->NXM_NX_ARP_SHA[]`` holds a MAC address, an IPv6 address stands there in two halves
(ovs-actions(7), ovs-fields(7)), ``controller(userdata=…)`` and ``note:`` hold bytes. A number is what its
field says; where that says nothing (registers, metadata), its length: none of seven hex digits or more stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vnetkb.privacy.pseudonyms import parse_ipv6

if TYPE_CHECKING:
    from vnetkb.privacy.captures import Context

_PLACE = re.compile(
    r"(load:|set_field:)([0-9A-Fa-fx:./]+)->([0-9A-Za-z_]+)(\[[0-9.]*\])?"
    r"|(userdata=|userdata\(|note:)([0-9a-f]{2}(?:\.?[0-9a-f]{2})*)"
    r"|(0x[0-9A-Fa-f]+)(/0x[0-9A-Fa-f]+)?"
)
_NUMBER = re.compile(r"(0x[0-9A-Fa-f]+)(/0x[0-9A-Fa-f]+)?")
_MAC_FIELD = re.compile(
    r"(?:ETH|eth|dl)_(?:SRC|DST|src|dst)|(?:ARP|arp)_[STst][Hh][Aa]|(?:ND|nd)_[STst][Ll][Ll]"
)
_IPV4_FIELD = re.compile(r"(?:IP|IPV4|NW|ip|nw|tun)_(?:SRC|DST|src|dst)|(?:ARP|arp)_[STst][Pp][Aa]")
_IPV6_FIELD = re.compile(r"IPV6_|ipv6_|(?:ND|nd)_(?:TARGET|target)")
_HIGH, _LOW = "[64..127]", "[0..63]"
_HIGH_HALF = re.compile(r"load:0x([0-9a-fA-F]{1,16})->([0-9A-Za-z_]+)\[64\.\.127\]")
_HEX = re.compile(r"[0-9a-f]+")
_PLAIN_DIGITS, _IPV4_DIGITS, _MAC_DIGITS, _HALF_DIGITS, _IPV6_DIGITS = 6, 8, 12, 16, 32


def mask_flows(text: str, context: Context) -> str:
    """Return flow tables or lines that quote flows, masked."""
    return "\n".join(_line(line, context) for line in text.split("\n"))


def _line(line: str, context: Context) -> str:
    masked: list[str] = []
    end = 0
    halves = {found[2]: found[1].lower().lstrip("0") for found in _HIGH_HALF.finditer(line)}
    for found in _PLACE.finditer(line):
        masked.append(context.text(line[end : found.start()]))
        end = found.end()
        if found[1]:
            value = _NUMBER.fullmatch(found[2])
            shown = (
                _number(value[1], found[3], found[4] or "", halves, context) + (value[2] or "")
                if value is not None
                else context.text(found[2])
            )
            masked.append(f"{found[1]}{shown}->{found[3]}{found[4] or ''}")
        elif found[5]:
            masked.append(found[5] + mask_bytes(found[6], "." if "." in found[6] else "", context))
        elif line[: found.start()].endswith(("cookie=", "xid=")):
            masked.append(found[0])
        else:
            masked.append(_number(found[7], "", "", halves, context) + (found[8] or ""))
    masked.append(context.text(line[end:]))
    return "".join(masked)


def _number(written: str, field: str, part: str, halves: dict[str, str], context: Context) -> str:
    """Return a number in hex, masked by what the field holds, else by its length.

    Of an IPv6 address in two halves `halves` has, by field, the last high half that the line loads.
    """
    digits = written[2:].lower().lstrip("0")
    length = len(digits)
    if not digits:
        return written
    whole = part in {"", "[]"}
    if _MAC_FIELD.search(field) and length <= _MAC_DIGITS:
        masked = context.pseudonyms.mac(digits.zfill(_MAC_DIGITS)) if whole or part == "[0..47]" else "0"
    elif _IPV4_FIELD.search(field) and length <= _IPV4_DIGITS:
        masked = _ipv4(digits, context) if whole or part == "[0..31]" else "0"
    elif (
        _IPV6_FIELD.search(field)
        or length > _MAC_DIGITS
        or (part == _LOW and len(halves.get(field, "")) > _MAC_DIGITS)
    ):
        masked = _ipv6(digits, field, part, halves, context)
    elif length <= _PLAIN_DIGITS:
        return written
    elif length <= _IPV4_DIGITS:
        masked = _ipv4(digits, context)
    else:
        masked = context.pseudonyms.mac(digits.zfill(_MAC_DIGITS))
    masked = masked.lstrip("0") or "0"
    return "0x" + (masked.zfill(len(written) - 2) if written[2] == "0" else masked)


def _ipv4(digits: str, context: Context) -> str:
    digits = digits.zfill(_IPV4_DIGITS)
    dotted = ".".join(str(int(digits[at : at + 2], 16)) for at in range(0, 8, 2))
    return "".join(f"{int(octet):02x}" for octet in context.pseudonyms.ipv4(dotted).split("."))


def _ipv6(digits: str, field: str, part: str, halves: dict[str, str], context: Context) -> str:
    if len(digits) > _IPV6_DIGITS:
        return "0"
    if len(digits) > _HALF_DIGITS or (part not in {_HIGH, _LOW} and _IPV6_FIELD.search(field)):
        return _of_address(digits.zfill(_IPV6_DIGITS), context)
    if part == _HIGH:
        return _of_address(digits.zfill(_HALF_DIGITS) + "0" * _HALF_DIGITS, context)[:_HALF_DIGITS]
    high = halves.get(field, "") if part == _LOW else ""
    return _of_address(high.zfill(_HALF_DIGITS) + digits.zfill(_HALF_DIGITS), context)[_HALF_DIGITS:]


def _of_address(digits: str, context: Context) -> str:
    if int(digits, 16) <= 1:
        return digits
    groups = [int(digits[at : at + 4], 16) for at in range(0, _IPV6_DIGITS, 4)]
    return "".join(f"{group:04x}" for group in parse_ipv6(context.pseudonyms.ipv6(groups)) or [])


def mask_bytes(written: str, separator: str, context: Context) -> str:
    """Return bytes in hex that can hold anything: known addresses as pseudonyms, the rest as zeros.

    OVN's controller actions begin with a number of less than 256 in four bytes (ovn/actions.h), which stays.
    """
    digits = written.replace(separator, "") if separator else written
    at = 8 if digits.startswith("000000") else 0
    masked = digits[:at]
    while at < len(digits):
        for length in (_IPV6_DIGITS, _MAC_DIGITS, _IPV4_DIGITS):
            known = context.pseudonyms.forms.get(digits[at : at + length], "")
            if len(known) == length and len(digits) >= at + length and _HEX.fullmatch(known):
                masked += known
                at += length
                break
        else:
            masked += "00"
            at += 2
    return separator.join(masked[place : place + 2] for place in range(0, len(masked), 2))
