# SPDX-License-Identifier: Apache-2.0
"""Captures of the series: samples of one text, each after a line ``@ <number> <monotonic seconds>``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError

_MARK = re.compile(rb"@ ([0-9]{1,12}) ([0-9]{1,15}(?:\.[0-9]{1,9})?)\n")
_NEXT = b"\n@ "
_SAMPLES_AT_MOST = 1_000_000
_EXPECTED = "'@ <sample number> <monotonic seconds>'"


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a series.

    Attributes:
        n: Number of the sample, rising through the series.
        monotonic_s: When it was taken, in seconds of the host's monotonic clock.
        data: The raw text, to be given to the parser of the capture.
    """

    n: int
    monotonic_s: float
    data: bytes


def split(data: bytes) -> list[Sample]:
    """Return the samples of a series capture in the order in which they were taken.

    Raises:
        ParseError: The text does not begin with a sample line, or numbers or times go back.
    """
    if not data:
        return []
    starts = [0] if data.startswith(b"@ ") else []
    found = data.find(_NEXT)
    while found >= 0:
        starts.append(found + 1)
        if len(starts) > _SAMPLES_AT_MOST:
            raise ParseError(f"more than {_SAMPLES_AT_MOST} samples", "fewer")
        found = data.find(_NEXT, found + 1)
    if not starts or starts[0] != 0:
        raise ParseError(data, _EXPECTED, 1)
    samples: list[Sample] = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        mark = _MARK.match(data, start)
        if mark is None:
            raise ParseError(data[start : start + 100], _EXPECTED)
        sample = Sample(int(mark[1]), float(mark[2]), data[mark.end() : end])
        if samples and (sample.n <= samples[-1].n or sample.monotonic_s < samples[-1].monotonic_s):
            raise ParseError(mark[0], f"a sample after number {samples[-1].n} at {samples[-1].monotonic_s} s")
        samples.append(sample)
    return samples
