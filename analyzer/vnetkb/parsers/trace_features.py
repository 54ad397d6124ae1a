# SPDX-License-Identifier: Apache-2.0
"""Which trace events the kernel offers: paths of event folders, `grep -H` lines of ``format`` files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.parsers.text import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

_REASON = re.compile(r'\{ ?(0x[0-9a-fA-F]{1,8}|[0-9]{1,10}), ?"(\w+)" ?\}')
_EVENT = re.compile(r"(?:^|/)events/(\w+)/(\w+)(?:/format)?(?=$|[:/\s])")
_REASON_FIELD = re.compile(r"/events/skb/kfree_skb/format:\s*field:[^;]*\breason;")


@dataclass(frozen=True, slots=True)
class TraceFeatures:
    """What can be traced; False means that the text shows it to be missing.

    Attributes:
        mounted: Whether tracefs was there to look at. Where it is not, nothing below is known.
        kfree_skb: skb:kfree_skb exists.
        kfree_skb_reason: It has a drop reason.
        net_dev_xmit: net:net_dev_xmit exists.
        qdisc_drop: qdisc:qdisc_drop exists.
        reasons: Names of the drop reasons by their number on this kernel.
    """

    mounted: bool
    kfree_skb: bool
    kfree_skb_reason: bool
    net_dev_xmit: bool
    qdisc_drop: bool
    reasons: Mapping[int, str]


def parse(data: bytes) -> TraceFeatures:
    """Return the features; a text without any event folder means that tracefs was not mounted."""
    events: set[str] = set()
    mounted = False
    has_reason = False
    reasons: dict[int, str] = {}
    for _, line in lines(data):
        match = _EVENT.search(line)
        if match is None:
            mounted = mounted or "/trace_clock:" in line
            continue
        events.add(f"{match[1]}/{match[2]}")
        if match[0].endswith("skb/kfree_skb/format"):
            has_reason = has_reason or _REASON_FIELD.search(line) is not None
            reasons.update((_number(number), name) for number, name in _REASON.findall(line))
    return TraceFeatures(
        mounted=mounted or bool(events),
        kfree_skb="skb/kfree_skb" in events,
        kfree_skb_reason=has_reason,
        net_dev_xmit="net/net_dev_xmit" in events,
        qdisc_drop="qdisc/qdisc_drop" in events,
        reasons=reasons,
    )


def _number(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else int(text)
