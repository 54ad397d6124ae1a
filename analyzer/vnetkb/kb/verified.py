# SPDX-License-Identifier: Apache-2.0
"""The lines of the sites by kernel version, as `kb verify` found and kept them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERIFIED_FOLDER = "verified"
"""The folder of the knowledge base that holds the results, one file a kernel version."""


@dataclass(frozen=True, slots=True)
class SiteLines:
    """Where a site is in a version.

    Attributes:
        line: The line of the statement that decides.
        counts: By counter, the line of the statement that counts.
    """

    line: int
    counts: Mapping[str, int]


def load_lines(folder: Path) -> dict[str, dict[str, SiteLines]]:
    """Return the kept results of a knowledge base folder: by kernel version, the lines of the sites."""
    found = {}
    for file in sorted((folder / VERIFIED_FOLDER).glob("*.json")):
        data = json.loads(file.read_bytes())
        found[data["version"]] = {
            site: SiteLines(lines["line"], lines["counts"]) for site, lines in data["sites"].items()
        }
    return found
