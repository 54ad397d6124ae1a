# SPDX-License-Identifier: Apache-2.0
"""A bundle of the lab as a fixture: masked as `vnetkb redact` masks a customer's."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vnetlab.images import LabError
from vnetlab.stage import Seat


@dataclass(frozen=True)
class Fixture:
    """A masked bundle, and what its pseudonyms stand for.

    Attributes:
        data: The archive.
        pseudonyms: By kind and original.
    """

    data: bytes
    pseudonyms: Mapping[tuple[str, str], str]

    def vm(self, seat: Seat) -> str | None:
        """Return what a seat's VM is called, `None` where the bundle does not name it."""
        return self.pseudonyms.get(("vm", seat.vm))

    def guest_nic(self, seat: Seat) -> str | None:
        """Return the address of a seat's guest NIC: that of its tap but for the first octet."""
        rest = seat.mac.partition(":")[2]
        for first in ("52", "fe"):
            if found := self.pseudonyms.get(("mac-address", f"{first}:{rest}")):
                return "52:" + found.partition(":")[2]
        return None


@cache
def bundle(path: Path) -> Fixture:
    """Mask a bundle.

    Raises:
        LabError: The search of the result found something that was not masked.
    """
    from vnetkb.bundle.archive import read_archive  # noqa: PLC0415 - bundles can be made without the analyzer
    from vnetkb.bundle.limits import DEFAULT_LIMITS  # noqa: PLC0415
    from vnetkb.privacy import mask_bundle  # noqa: PLC0415

    made = mask_bundle(read_archive(path, DEFAULT_LIMITS))
    if made.leaks:
        raise LabError(f"{path}: masking is not complete: {made.leaks[0]}")
    names = {
        (kind, original): pseudonym
        for kind, pseudonym, original in (
            line.split("\t") for line in made.map.splitlines() if not line.startswith("#")
        )
    }
    return Fixture(gzip.compress(gzip.decompress(made.data), 9, mtime=0), names)
