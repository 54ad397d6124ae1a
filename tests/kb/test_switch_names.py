# SPDX-License-Identifier: Apache-2.0
"""Every number that Open vSwitch's tools really print, in every version at hand, is a counter of the base."""

import re
from pathlib import Path

import pytest

from vnetkb.kb.load import load_kb
from vnetkb.parsers import ovs_datapath, ovs_interface

FIXTURES = Path(__file__).parents[1] / "parsers" / "fixtures"
KB = load_kb()
NAMES = {(each.tool, each.name) for counter in KB.counters.values() for each in counter.names}
SHOW = "ovs-appctl dpctl/show -s"


def statistics() -> list[str]:
    found: set[str] = set()
    for file in FIXTURES.glob("ovs-*/ovs-interface"):
        for row in ovs_interface.parse(file.read_bytes()):
            found.update(row["statistics"] if isinstance(row["statistics"], dict) else ())
    return sorted(found)


def shown() -> list[str]:
    """Names of all numbers in the lines of dpctl/show -s; of RX, TX and UPCALL with their side."""
    found: set[str] = set()
    for file in (*FIXTURES.glob("ovs-*/ovs-datapath"), *FIXTURES.glob("written/ovs-datapath.*")):
        assert ovs_datapath.parse(file.read_bytes())
        for line in file.read_text(encoding="utf-8").splitlines():
            text = re.sub(r" \([^)]*\)", "", line.strip())
            if text.startswith(("port ", "caches:")) or not re.search(r":\s*[0-9?]", text):
                continue
            side = ""
            for word in text.split():
                key, colon, value = word.partition(":")
                if not colon:
                    side = word if not re.fullmatch(r"[0-9.]+", word) else side
                elif not value:
                    side = f"{key}:"
                    if key == "flows":
                        found.add(key)
                else:
                    found.add(f"{side} {key}".strip())
    return sorted(found)


def test_the_captured_texts_hold_what_they_should() -> None:
    assert {"rx_dropped", "tx_errors", "rx_missed_errors"} <= set(statistics())
    assert {"lookups: lost", "RX frame", "TX carrier", "UPCALL errors", "collisions", "flows"} <= set(shown())


@pytest.mark.parametrize("key", statistics())
def test_every_key_of_statistics_is_a_counter(key: str) -> None:
    assert ("ovs-vsctl list Interface", f"statistics:{key}") in NAMES


@pytest.mark.parametrize("name", shown())
def test_every_number_of_dpctl_show_is_a_counter(name: str) -> None:
    assert (SHOW, name) in NAMES or (SHOW, f"caches: {name}") in NAMES
