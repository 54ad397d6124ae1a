# SPDX-License-Identifier: Apache-2.0
"""How much of a bundle is read before it is refused."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024


class Limits(NamedTuple):
    """Limits that bound memory, time and disk, all counted after decompression.

    Attributes:
        member_bytes: Largest member.
        total_bytes: All that the archive unpacks to, headers and padding included.
        members: Members, folders included.
        ratio: Unpacked bytes for each packed byte, once `ratio_after_bytes` are unpacked. Captures of idle
            devices pack about 150 to 1, a bomb of zeros 1000 to 1.
        ratio_after_bytes: Below this any ratio passes.
        manifest_bytes: Largest manifest.
        header_bytes: Extended headers (long names, PAX records) of the whole archive together.
    """

    member_bytes: int = 64 * MIB
    total_bytes: int = 512 * MIB
    members: int = 20_000
    ratio: int = 400
    ratio_after_bytes: int = 16 * MIB
    manifest_bytes: int = 16 * MIB
    header_bytes: int = MIB // 4


DEFAULT_LIMITS = Limits()
