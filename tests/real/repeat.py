# SPDX-License-Identifier: Apache-2.0
"""Plays every real scenario several times and prints how often the verdict was right: `make repeat`.

What is right comes from the same tables as the tests'. A healthy port must give no finding; at the highest
rate only those runs count in which the sender's and the reader's own numbers show no loss.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import layers
import scenarios
from test_real_layers import EXPECTED as LAYERS
from test_real_taps import SAME_WITH_AND_WITHOUT_TRACE as TAPS

RATES = (40_000, 20_000, 10_000, 5_000)
HEALTHY = ("healthy", "healthy-fast")
THROTTLED = {"reader-throttled": frozenset({"tap-ring-qemu-throttled"})}


def play(script: str, name: str, out: Path, rate: int | None = None, options: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - as json types it
    """Play one scenario in a process of its own and return what it tells; None if it cannot be played."""
    environment = os.environ | ({"VNETKB_RATE": str(rate)} if rate else {})
    command = [sys.executable, script, name, "--out", str(out), *(("--", *options) if options else ())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=environment)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None


def analyze(bundle: str) -> Mapping[str, Any]:
    """Return the report on a bundle."""
    command = [sys.executable, "-m", "vnetkb", "analyze", "--format", "json", "--fail-on", "any", bundle]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def tap(name: str, out: Path) -> str:
    """Play a scenario of a tap: `right`, or what was found instead."""
    told = play(scenarios.__file__, name, out, options=("--quiet", "--interval", "3"))
    if told is None:
        return "not played"
    (finding,) = analyze(told["bundle"])["findings"] or ({"cause": "no finding", "verdict": ""},)
    expected = TAPS.get(name)
    causes = expected.causes if expected is not None else THROTTLED[name]
    sure = expected is None or finding["verdict"] == expected.verdict
    return "right" if finding["cause"] in causes and sure else f"{finding['verdict']} {finding['cause']}"


def healthy(name: str, out: Path, rate: int | None = None) -> str:
    """Play healthy ports; a run in which something was really lost says nothing."""
    told = play(scenarios.__file__, name, out, rate, ("--quiet", "--interval", "3"))
    if told is None:
        return "not played"
    lost = sum(port["sent"] - port["read"] for port in told["ports"].values())
    found = [each["cause"] for each in analyze(told["bundle"])["findings"]]
    return "lost" if lost else "right" if not found else f"found {found}"


def layer(name: str, out: Path) -> str:
    """Play loss outside the ring."""
    told = play(layers.__file__, name, out)
    if told is None or "bundle" not in told:
        return "not played"
    expected = LAYERS[name]
    for finding in analyze(told["bundle"])["findings"]:
        if (finding["subject"]["kind"], finding["subject"]["name"]) == (expected.kind, expected.name):
            right = (finding["cause"], finding["verdict"]) == (expected.cause, expected.verdict)
            return "right" if right else f"{finding['verdict']} {finding['cause']}"
    return "no finding"


def main() -> int:
    """Play, print the table, and fail if anything was not right every time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--only", action="append", default=[], help="names of scenarios")
    chosen = parser.parse_args()
    names = [*TAPS, *THROTTLED, *HEALTHY, *LAYERS]
    wrong = 0
    print(f"{'scenario':24} right/total")  # noqa: T201 - it prints a table
    for name in [name for name in names if not chosen.only or name in chosen.only]:
        outcomes: Counter[str] = Counter()
        rates = list(RATES)
        while sum(outcomes.values()) < chosen.times and rates:
            with tempfile.TemporaryDirectory() as folder:
                if name in LAYERS:
                    outcome = layer(name, Path(folder))
                elif name not in HEALTHY:
                    outcome = tap(name, Path(folder))
                else:
                    outcome = healthy(name, Path(folder), rates[0] if name == "healthy-fast" else None)
            if outcome == "lost":
                rates = rates[1:]
                continue
            outcomes[outcome] += 1
        right, total = outcomes.pop("right", 0), sum(outcomes.values())
        wrong += total
        at = f" at {rates[0]} packets/s" if name == "healthy-fast" and rates else ""
        rest = ", ".join(f"{count} x {what}" for what, count in outcomes.items())
        print(f"{name:24} {right}/{right + total}{at} {rest}".rstrip(), flush=True)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
