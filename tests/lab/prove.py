# SPDX-License-Identifier: Apache-2.0
"""Enter what the lab found into the knowledge base: kb/lab/results.json, and `proof.lab` of rules and sites.

    python tests/lab/prove.py [--keep DIR]

Reads DIR/*.row.json of run.py, where they are.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import guests
from vnetlab import images, proof, scenarios, verdict
from vnetlab.scenarios import Scenario
from vnetlab.stage import Seat
from vnetlab.verdict import TREE

KB = TREE / "kb"
README = Path(__file__).resolve().parent / "README.md"
BUNDLES = Path(__file__).resolve().parent / "bundles"


def recorded(kept: Mapping[str, Any], every: Mapping[str, Scenario]) -> Iterator[dict[str, Any]]:
    """Give rows for recorded bundles of which no run is kept: what counted in them, and the verdict."""
    sys.path[:0] = [str(TREE / "analyzer")]
    for key, known in json.loads((BUNDLES / "index.json").read_bytes()).items():
        name, _, kernel = key.rpartition("-")
        if name not in every or kernel in kept["scenarios"].get(name, {}).get("kernels", {}):
            continue
        scenario = scenarios.load(kernel)[name]
        seat = Seat(known["seat"], scenario.switch)
        bundle = BUNDLES / known["bundle"]
        judged = verdict.judge(scenario, bundle, seat, together=bundle.name.startswith("together-"))
        report = verdict.analyze(bundle)
        moved = {
            f"{one['subject']['name']} {one['symptom']['counter']}": one["symptom"]["delta"]
            for one in report["findings"]
            if one["symptom"]["counter"] and one["subject"]["name"] == seat.tap
        }
        yield {
            "scenario": name,
            "kernel": kernel,
            "sum": scenario.sum,
            "release": report["hosts"][0]["kernel"],
            "sent": None,
            "received": None,
            "moved": moved,
            "reasons": verdict.reasons(bundle),
            "untrue": [],
            "wrong": list(judged.wrong),
            "seconds": None,
            **{one: asdict(getattr(judged, one)) for one in ("whole", "plain", "once")},
        }


def guests_recorded() -> dict[str, Any]:
    """Return what is found in the recorded bundles of guests with an agent: by scenario and kernel."""
    found: dict[str, Any] = {}
    for bundle in sorted(guests.BUNDLES.glob("*.tar.gz")):
        name, _, kernel = bundle.name.removesuffix(".tar.gz").rpartition("-")
        scenario = guests.SCENARIOS[name]
        said, right = guests.judge(bundle, scenario, kernel)
        # Which of the causes of a full ring it is, the scenarios with drop reasons prove.
        cause = next(iter(scenario.wanted)) if len(scenario.wanted) == 1 else None
        entry = found.setdefault(name, {"cause": cause, "kernels": {}})
        entry["kernels"][kernel] = {"said": said, "right": right}
    return {
        name: {
            **entry,
            "kernels": dict(sorted(entry["kernels"].items(), key=lambda one: proof.version(one[0]))),
        }
        for name, entry in sorted(found.items())
    }


def main(arguments: Sequence[str]) -> int:
    """Do it, and say which files changed."""
    parser = argparse.ArgumentParser(
        prog="prove.py", description="Enter the lab's results into the knowledge base."
    )
    parser.add_argument("--keep", type=Path, help="where run.py left its results")
    options = parser.parse_args(arguments)
    keep = options.keep or images.cache() / "results"
    kept = proof.load(KB)
    rows = [json.loads(file.read_bytes()) for file in sorted(keep.glob("*.row.json"))]
    every = scenarios.load()
    proof.merge(kept, rows, every)
    for row in recorded(kept, every):
        proof.merge(kept, [row], every)
    kept["guests"] = guests_recorded()
    proof.save(KB, kept)
    kernels = list(images.KERNELS)
    text = proof.TABLE.sub(lambda _: proof.table(kept, every, kernels), README.read_text(encoding="utf-8"))
    README.write_text(
        proof.GUEST_TABLE.sub(lambda _: proof.guest_table(kept, kernels), text), encoding="utf-8"
    )
    for file, text in proof.changes(KB, kept, every).items():
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(TREE))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
