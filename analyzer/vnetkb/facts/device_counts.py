# SPDX-License-Identifier: Apache-2.0
"""How far the other counters of a device moved: evidence for what moved one of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vnetkb.facts.device import PROVIDERS
from vnetkb.facts.model import Fact
from vnetkb.language import tr

if TYPE_CHECKING:
    from vnetkb.facts.device import DeviceFacts

PREFIX = "counted."
FIELDS = (
    "rx_crc_errors",
    "rx_dropped",
    "rx_errors",
    "rx_fifo_errors",
    "rx_frame_errors",
    "rx_length_errors",
    "rx_missed_errors",
    "rx_over_errors",
    "rx_packets",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_dropped",
    "tx_fifo_errors",
    "tx_packets",
)


def counted_fact(device: DeviceFacts, name: str, field: str) -> Fact:
    """Build the fact of how far one statistic of a device moved, in the snapshots and in the series."""
    one = device.counted(field)
    if one is None:
        return Fact(
            name,
            missing=("sysfs-net",),
            why_unknown=tr("{device} shows no {field}", device=device.name, field=field),
        )
    captures = (*one.captures, *one.sample_captures)
    return Fact(name, one.delta, (), one.samples, captures, one.missing, one.why_unknown)


def _counted(field: str, device: DeviceFacts) -> Fact:
    return counted_fact(device, f"{PREFIX}{field}", field)


for _field in FIELDS:
    PROVIDERS[f"{PREFIX}{_field}"] = partial(_counted, _field)
