# SPDX-License-Identifier: Apache-2.0
"""What the page of coverage takes from the lab's results."""

import json
from pathlib import Path

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
