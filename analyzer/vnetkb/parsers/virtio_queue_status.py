# SPDX-License-Identifier: Apache-2.0
"""Receive virtqueues by QEMU's own count: blocks after a line ``@ PATH QUEUE``, each with QEMU's replies.

x-query-virtio-queue-status gives the size of the ring; x-query-virtio-queue-element reads, in the guest's
memory, how many buffers the driver has offered (``avail.idx``) and how many were given back filled
(``used.idx``), both modulo 65536 (hw/virtio/virtio-qmp.c). Their difference is what the guest has posted and
nobody has filled yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import documents, mapping_of, optional_integer
from vnetkb.parsers.text import decode

_MARK = re.compile(rb"^@ (\S+) ([0-9]{1,5})[ \t\r]*$", re.MULTILINE)
_WHAT = "a virtqueue"
_MODULUS = 1 << 16


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One virtqueue; None where QEMU does not tell.

    Attributes:
        path: QEMU's path of the device, such as ``/machine/peripheral/net0/virtio-backend``.
        queue: Number of the virtqueue; of a virtio NIC even ones receive.
        size: Descriptors.
        avail: Buffers offered by the driver, modulo 65536.
        used: Buffers given back, modulo 65536.
        last_avail: Buffers taken by QEMU itself, modulo 65536; not kept with vhost.
    """

    path: str
    queue: int
    size: int | None = None
    avail: int | None = None
    used: int | None = None
    last_avail: int | None = None

    @property
    def posted(self) -> int | None:
        """Buffers that the guest has posted and that were not given back yet."""
        if self.avail is None or self.used is None:
            return None
        return (self.avail - self.used) % _MODULUS


def parse(data: bytes) -> list[QueueStatus]:
    """Return the queues in the order of the text; an answer that is an error leaves its numbers open.

    Raises:
        ParseError: The text is not in ``@ PATH QUEUE`` blocks of JSON objects.
    """
    marks = list(_MARK.finditer(data))
    if data.strip() and (not marks or marks[0].start() != 0):
        raise ParseError(data, "'@ PATH QUEUE'", 1)
    ends = [*(mark.start() for mark in marks), len(data)][1:]
    return [_queue(mark, data[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]


def _queue(mark: re.Match[bytes], block: bytes) -> QueueStatus:
    status: dict[str, Any] = {}
    element: dict[str, Any] = {}
    for document in documents(block):
        if not isinstance(document, dict):
            raise ParseError(document, "an object for each answer of QEMU")
        answer = document.get("return")
        if isinstance(answer, dict) and "vring-num" in answer:
            status = answer
        elif isinstance(answer, dict):
            element = answer
    return QueueStatus(
        path=decode(mark[1]),
        queue=int(mark[2]),
        size=optional_integer(status, "vring-num", _WHAT),
        avail=optional_integer(mapping_of(element, "avail", _WHAT), "idx", _WHAT),
        used=optional_integer(mapping_of(element, "used", _WHAT), "idx", _WHAT),
        last_avail=optional_integer(status, "last-avail-idx", _WHAT),
    )
