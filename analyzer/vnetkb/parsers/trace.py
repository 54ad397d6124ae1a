# SPDX-License-Identifier: Apache-2.0
"""Text of a tracing instance that records ``skb:kfree_skb`` and ``net:net_dev_xmit``.

Events are printed by include/trace/events/skb.h and net.h; the part before them by
kernel/trace/trace_output.c (`trace_print_context`). The lines ``@ start <s>`` and ``@ stop <s>`` come from
the collector.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_MARK = re.compile(r"@ (start|stop) ([0-9]{1,15}(?:\.[0-9]{1,9})?)")
# the task name may hold anything, but it is 15 bytes at most, too short to look like an event of ours
_EVENT = re.compile(
    r".*?-[0-9]{1,10}\s+(?:\([^)]{7}\)\s+)?\[([0-9]{1,6})\]\s+(?:\S{1,16}\s+)?"
    r"([0-9]{1,15}\.[0-9]{1,9}): (\w+): (.*)"
)
_FREE = re.compile(
    r"skbaddr=(?:0x)?([0-9a-f]{1,16})(?: rx_sk=[0-9a-fx(){}nul]+)? protocol=([0-9]{1,5})"
    r" location=(\S+)(?: \[\w+\])?(?: reason: (\S+))?\s*"
)
# From 7.2 on net_cookie follows (include/trace/events/net.h).
_XMIT = re.compile(
    r"dev=(\S+) skbaddr=(?:0x)?([0-9a-f]{1,16}) len=([0-9]{1,10}) rc=(-?[0-9]{1,10})"
    r"(?: \w{1,32}=\S{1,32}){0,8}\s*"
)
_LOST = re.compile(r"CPU:[0-9]{1,6} \[LOST (?:([0-9]{1,18}) )?EVENTS\]")
_WRITTEN = re.compile(r"# entries-in-buffer/entries-written: ([0-9]{1,18})/([0-9]{1,18})\b.*")


@dataclass(frozen=True, slots=True)
class FreeEvent:
    """The kernel dropped a packet (skb:kfree_skb).

    Attributes:
        cpu: CPU it happened on.
        time_s: Seconds of the trace clock.
        skbaddr: Address of the packet, hashed by the kernel; equal for the same packet.
        protocol: EtherType.
        location: Code place, ``tun_net_xmit+0x2e2/0x4f0``, or a bare address on older kernels.
        reason: Drop reason by name, or a number in hex for subsystem reasons; None where the kernel has none.
    """

    cpu: int
    time_s: float
    skbaddr: int
    protocol: int
    location: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class XmitEvent:
    """A driver was given a packet to transmit (net:net_dev_xmit).

    Attributes:
        cpu: CPU it happened on.
        time_s: Seconds of the trace clock.
        device: Device name.
        skbaddr: Address of the packet, hashed by the kernel.
        length: Bytes.
        rc: What the driver answered; not 0 where it did not take the packet.
    """

    cpu: int
    time_s: float
    device: str
    skbaddr: int
    length: int
    rc: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One recording.

    Attributes:
        start_s: Monotonic seconds when recording began; None where the collector did not say.
        stop_s: Monotonic seconds when it ended; None where the collector did not say, so it was cut off.
        events: In the order of the text, which is the order in time.
        lost_events: Events known to be missing because a buffer was full.
    """

    start_s: float | None
    stop_s: float | None
    events: tuple[FreeEvent | XmitEvent, ...]
    lost_events: int


def parse(data: bytes) -> Trace:
    """Return the recording; events of other kinds are passed over.

    Raises:
        ParseError: A line is neither a comment, nor a mark of the collector, nor an event.
    """
    marks: dict[str, float] = {}
    events: list[FreeEvent | XmitEvent] = []
    lost = 0
    for number, line in lines(data):
        if not line or line.startswith("#"):
            written = _WRITTEN.fullmatch(line)
            if written is not None:
                lost += max(0, int(written[2]) - int(written[1]))
            continue
        match = _EVENT.fullmatch(line)
        if match is not None:
            event = _event(match, line, number)
            if event is not None:
                events.append(event)
        elif (mark := _MARK.fullmatch(line)) is not None:
            marks[mark[1]] = float(mark[2])
        elif (missing := _LOST.fullmatch(line)) is not None:
            lost += int(missing[1] or 1)
        else:
            raise ParseError(line, "a comment, '@ start S', '@ stop S' or an event", number)
    return Trace(marks.get("start"), marks.get("stop"), tuple(events), lost)


def _event(match: re.Match[str], line: str, number: int) -> FreeEvent | XmitEvent | None:
    cpu, time_s, kind, text = int(match[1]), float(match[2]), match[3], match[4]
    if kind == "kfree_skb":
        free = _FREE.fullmatch(text)
        if free is None:
            raise ParseError(line, "skbaddr, protocol and location of kfree_skb", number)
        return FreeEvent(cpu, time_s, int(free[1], 16), int(free[2]), free[3], free[4])
    if kind == "net_dev_xmit":
        xmit = _XMIT.fullmatch(text)
        if xmit is None:
            raise ParseError(line, "dev, skbaddr, len and rc of net_dev_xmit", number)
        return XmitEvent(cpu, time_s, xmit[1], int(xmit[2], 16), int(xmit[3]), int(xmit[4]))
    return None
