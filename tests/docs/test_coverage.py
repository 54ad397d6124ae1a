# SPDX-License-Identifier: Apache-2.0
"""What pages take from elsewhere: the lab's results, lines of sources, where sources are shown."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docutils import nodes

from vnetkb_docs.code import places
from vnetkb_docs.knowledge import reproduced


def test_a_site_is_reproduced_where_its_scenario_was_made(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    scenario = {
        "sites": ["tun.tun_net_xmit.ring_full"],
        "kernels": {"6.1": {"made": True}, "6.12": {"made": False}},
    }
    results.write_text(json.dumps({"scenarios": {"vm-stopped": scenario}}), encoding="utf-8")
    found = reproduced(results)
    assert found["6.1"] == {"tun.tun_net_xmit.ring_full"}
    assert not found.get("6.12")


def test_without_results_nothing_is_known_by_kernel(tmp_path: Path) -> None:
    assert reproduced(tmp_path / "results.json") == {}


@pytest.mark.parametrize(
    ("configured", "links"),
    [
        ("https://code.example.org/v{version}/{file}#L{line}", ["https://code.example.org/v6.1.9/a/b.c#L12"]),
        ("", []),
    ],
)
def test_where_sources_are_shown_is_configured(configured: str, links: list[str]) -> None:
    page: Any = SimpleNamespace(source_link=configured, know=SimpleNamespace(versions={"6.1": "6.1.9"}))
    shown = nodes.paragraph("", "", *places(page, "a/b.c", ["5.10", "6.1"], lambda _version: 12))
    assert shown.astext() == "5.10 6.1.9:12"
    assert [each["refuri"] for each in shown.findall(nodes.reference)] == links
