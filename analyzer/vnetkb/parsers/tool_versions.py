# SPDX-License-Identifier: Apache-2.0
"""Versions of the tools that the collector used, each after a line ``@ TOOL``."""

from __future__ import annotations

from vnetkb.parsers.ethtool_blocks import parse as parse_blocks
from vnetkb.parsers.text import decode


def parse(data: bytes) -> dict[str, str]:
    """Return what each tool says of its version.

    Raises:
        ParseError: The text is not in ``@ TOOL`` blocks.
    """
    return {tool: decode(block).strip() for tool, block in parse_blocks(data).items()}
