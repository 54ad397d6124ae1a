# SPDX-License-Identifier: Apache-2.0
"""Masking leaves Open vSwitch's tables and numbers readable: names go, columns and counters stay."""

import re
from pathlib import Path

import pytest
import yaml

from vnetkb.parsers import ovs_json

TREE = Path(__file__).resolve().parents[2]
FIXTURES = TREE / "tests" / "parsers" / "fixtures"
KNOWN = frozenset(yaml.safe_load((TREE / "kb" / "masking.yaml").read_bytes())["words"].split())
TABLES = sorted(path for path in FIXTURES.glob("ovs-*/ovs-*") if path.read_bytes().startswith(b'{"data"'))


def parts(text: str) -> set[str]:
    """Words of three letters and more that a name consists of."""
    return {word for word in re.split("[^a-z]+", text.lower()) if len(word) > 2}


@pytest.mark.parametrize("file", TABLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_columns_and_keys_of_a_table_are_no_names(file: Path) -> None:
    rows = ovs_json.parse(file.read_bytes())
    names = {name for row in rows for name in row}
    names |= {str(key) for row in rows for key in (row.get("statistics") or {})}

    assert {word for name in names for word in parts(name)} <= KNOWN


@pytest.mark.parametrize("folder", ["ovs-2.15", "ovs-3.1", "ovs-3.5", "ovs-4.0"])
def test_counters_of_the_daemon_are_no_names(folder: str) -> None:
    text = (FIXTURES / folder / "ovs-coverage").read_text(encoding="ascii")
    assert parts(" ".join(line.split(" ")[0] for line in text.splitlines())) <= KNOWN
