# SPDX-License-Identifier: Apache-2.0
"""Captures of the series: samples of one text, each after a line ``@ <number> <monotonic seconds>``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError

_MARK = re.compile(rb"^@ ([0-9]{1,12}) ([0-9]{1,15}(?:\.[0-9]{1,9})?)\n", re.MULTILINE)


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
    marks = list(_MARK.finditer(data))
    if not marks:
        if data:
            raise ParseError(data, "'@ <sample number> <monotonic seconds>'", 1)
        return []
    if marks[0].start() != 0:
        raise ParseError(data, "'@ <sample number> <monotonic seconds>'", 1)
    samples: list[Sample] = []
    ends = [mark.start() for mark in marks[1:]]
    ends.append(len(data))
    for mark, end in zip(marks, ends, strict=True):
        sample = Sample(int(mark[1]), float(mark[2]), data[mark.end() : end])
        if samples and (sample.n <= samples[-1].n or sample.monotonic_s < samples[-1].monotonic_s):
            raise ParseError(mark[0], f"a sample after number {samples[-1].n} at {samples[-1].monotonic_s} s")
        samples.append(sample)
    return samples
