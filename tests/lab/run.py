# SPDX-License-Identifier: Apache-2.0
"""Run scenarios on kernels and print a table: what moved, what the analyzer said, right or wrong, seconds.

    python tests/lab/run.py --kernel 6.1 --scenario 'vm-*'

Exit status 0: all right; 1: a wrong verdict, or a scenario that could not be made; 2: usage; 3: the lab
cannot work here.
"""

import argparse
import fnmatch
import json
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from vnetlab import images, scenarios, verdict
from vnetlab.images import LabError
from vnetlab.machine import Machine, keep_serial_log
from vnetlab.scenarios import Scenario
from vnetlab.stage import TAP, Stage

COLLECTOR = verdict.TREE / "collectors" / "host" / "vnetkb-collect"
BUNDLES = Path(__file__).resolve().parent / "bundles"
DEFAULT_KERNELS = ("6.1", "6.12", "5.10")


@dataclass
class Outcome:
    """What one scenario on one kernel came to."""

    scenario: str
    kernel: str
    release: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    bundle: str = ""
    joined: dict[str, Any] = field(default_factory=dict)
    verdict: str | None = None
    cause: str | None = None
    wrong: list[str] = field(default_factory=list)
    made: bool = False
    seconds: float = 0

    def row(self) -> str:
        """Return the line of the table."""
        said = f"{self.verdict or 'no finding'} {self.cause or ''}" if self.made else "-"
        moved = f"{self.counts.get('tx_packets', '?')}/{self.counts.get('tx_dropped', '?')}"
        result = "right" if not self.wrong else "WRONG: " + "; ".join(self.wrong)
        reader = str(self.joined.get("reader", "-"))
        start = f"{self.scenario:24} {self.kernel:5} {moved:>12}  {reader:14}"
        return f"{start} {said:42} {self.seconds:4.0f} s  {result}"


def perform(stage: Stage, scenario: Scenario, outcome: Outcome, keep: Path) -> None:
    """Make the cause, collect while it lasts, take it away again, and judge the analyzer's answer."""
    stage.machine.run(f"ip link set dev {TAP} txqueuelen {scenario.tx_queue_len}")
    stage.send(scenario.packets_per_s, scenario.burst)
    before = stage.counts()
    try:
        stage.step(f"BEFORE={before.tx_dropped}\n{scenario.make}")
        stage.machine.wait_for(f". /lab/vars.sh; BEFORE={before.tx_dropped}; {scenario.until}", limit_s=180)
        data = stage.collect(COLLECTOR.read_bytes(), scenario.collect)
        after = stage.counts()
    finally:
        stage.step(scenario.undo)
        stage.stop_sending()
    outcome.counts = {key: value - asdict(before)[key] for key, value in asdict(after).items()}
    keep.mkdir(parents=True, exist_ok=True)
    bundle = keep / f"{scenario.name}-{outcome.kernel}.tar.gz"
    bundle.write_bytes(data)
    outcome.bundle = str(bundle)
    report = verdict.analyze(bundle)
    finding = verdict.said_of_tap(report)
    if finding is not None:
        outcome.verdict, outcome.cause = finding["verdict"], finding["cause"]
    outcome.joined = verdict.joins(bundle)
    outcome.wrong += verdict.wrong_joins(scenario, outcome.kernel, outcome.joined)
    outcome.wrong += verdict.wrong_verdict(scenario, report)
    outcome.made = True


def run_kernel(kernel: images.Kernel, chosen: Sequence[Scenario], keep: Path) -> Iterator[Outcome]:
    """Run scenarios on one kernel; those with the same VM share a machine: each takes its cause away again.

    A scenario that could not be made ends its machine; the rest get a new one.
    """
    order = sorted(chosen, key=lambda one: (one.vm, one.vhost, one.name))
    for (vm, vhost), group in groupby(order, key=lambda one: (one.vm, one.vhost)):
        waiting = list(group)
        while waiting:
            with Machine(kernel, state=images.guest_state() if vm == "linux" else None) as machine:
                stage = Stage(machine)
                stage.start_vm(guest=vm, tx_queue_len=waiting[0].tx_queue_len, vhost=vhost)
                outcome = Outcome("", kernel.name, made=True)
                while waiting and outcome.made:
                    scenario = waiting.pop(0)
                    outcome = Outcome(scenario.name, kernel.name, kernel.release)
                    began = time.monotonic()
                    try:
                        perform(stage, scenario, outcome, keep)
                    except LabError as error:
                        log = keep_serial_log(machine, keep, f"{scenario.name}-{kernel.name}")
                        outcome.wrong.append(f"{error} (console: {log})")
                    outcome.seconds = time.monotonic() - began
                    yield outcome


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 - the table is what this program is for


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments choose."""
    parser = argparse.ArgumentParser(prog="run.py", description="Run the lab's scenarios.")
    parser.add_argument("--kernel", action="append", choices=list(images.KERNELS), help="repeatable")
    parser.add_argument("--scenario", action="append", help="name or pattern; repeatable")
    parser.add_argument("--keep", type=Path, help="where bundles, logs and results.json go")
    parser.add_argument(
        "--record", action="store_true", help="keep the bundles that were judged right as fixtures"
    )
    options = parser.parse_args(arguments)
    lacking = images.why_unavailable()
    if lacking:
        sys.stderr.write(f"the lab cannot work here: {lacking}\n")
        return 3
    sys.path.insert(0, str(verdict.TREE / "analyzer"))
    patterns = options.scenario or ["*"]
    every = scenarios.load()
    chosen = [
        one for one in every.values() if any(fnmatch.fnmatch(one.name, pattern) for pattern in patterns)
    ]
    if not chosen:
        parser.error(f"no scenario is called {' or '.join(patterns)}: there are {', '.join(every)}")
    keep = options.keep or images.cache() / "results"
    outcomes: list[Outcome] = []
    say(f"{'scenario':24} {'kernel':5} {'sent/dropped':>12}  {'reader':14} {'verdict and cause':42}   time")
    for name in options.kernel or DEFAULT_KERNELS:
        wanted = [one for one in chosen if not one.kernels or name in one.kernels]
        try:
            for outcome in run_kernel(images.kernel(name), wanted, keep):
                outcomes.append(outcome)
                say(outcome.row())
                if options.record and not outcome.wrong:
                    shutil.copyfile(outcome.bundle, BUNDLES / Path(outcome.bundle).name)
        except LabError:
            traceback.print_exc()
            outcomes.append(Outcome("(machine)", name, wrong=["not made"]))
    keep.mkdir(parents=True, exist_ok=True)
    results = json.dumps([asdict(one) for one in outcomes], indent=1)
    (keep / "results.json").write_text(results + "\n", encoding="utf-8")
    return 1 if any(one.wrong for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
