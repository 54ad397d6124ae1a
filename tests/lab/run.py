# SPDX-License-Identifier: Apache-2.0
"""Run scenarios on kernels and print a table: what moved, what the analyzer said, right or wrong, seconds.

    python tests/lab/run.py --kernel 6.1 --scenario 'vm-*'
    python tests/lab/run.py --judge          # the kept bundles again, with the rules of now

Exit status 0: all right; 1: a wrong verdict, or a scenario that could not be made; 2: usage; 3: the lab
cannot work here.
"""

import argparse
import fnmatch
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import prove
from vnetlab import images, masked, scenarios, verdict
from vnetlab.images import LabError
from vnetlab.machine import Machine, keep_serial_log
from vnetlab.scenarios import VM_KINDS, Scenario
from vnetlab.stage import Look, Seat, Stage

COLLECTOR = verdict.TREE / "collectors" / "host" / "vnetkb-collect"
UNTIL_LIMIT_S = 60
PACKED_PACKETS_PER_S = 60
CLIMB, STEP_DOWN = 1.5, 1.2
"""What a rate is multiplied by as long as nothing is lost, and divided by until nothing is lost again."""
LEAST_RATE = 100
PACK = 9
"""VMs at once in a machine: more, and a machine under TCG does nothing but look after them."""
FIXTURE_LIMIT = 160_000
"""Bytes of a bundle that is kept as a fixture; the results of larger ones are kept all the same."""
BUNDLES = Path(__file__).resolve().parent / "bundles"


@dataclass
class Outcome:
    """What one scenario on one kernel came to; kept beside its bundle.

    Attributes:
        sum: What the scenario's file was.
        bundle: Name of the bundle's file.
        seat: The number of its VM.
        moved: Numbers of losses that rose, by place.
        rate: Packets/s that were found to be the most without loss, where the scenario asks for that.
    """

    scenario: str
    kernel: str
    sum: str = ""
    release: str = ""
    bundle: str = ""
    seat: int = 0
    sent: int = 0
    received: int | None = None
    transmitted: int | None = None
    moved: dict[str, int] = field(default_factory=dict)
    seconds: float = 0
    problem: str = ""
    rate: float = 0

    @property
    def lost(self) -> int | None:
        """Packets that did not arrive, `None` where nobody counts."""
        return None if self.received is None else self.sent - self.received

    @property
    def loses(self) -> bool:
        """Whether a counter of losses moved, or what was sent did not arrive."""
        return bool(self.moved) or (self.lost or 0) > 0


def perform(
    stage: Stage, outcomes: Mapping[str, Outcome], chosen: Sequence[Scenario], *, collects: bool = True
) -> bytes:
    """Make the causes, collect once while they last, take them away again; return the bundle."""
    seats = {one.name: Seat(outcomes[one.name].seat, one.switch) for one in chosen}
    stage.set(seats, chosen)
    stage.send(seats, chosen, PACKED_PACKETS_PER_S if len(chosen) > 1 else None)
    before = stage.look()
    for one in chosen:
        dropped = before.numbers.get(f"{seats[one.name].tap} sysfs tx_dropped", 0)
        script = f"BEFORE={dropped}\n{one.make}\nuntil {one.until}; do sleep 0.2; done"
        try:
            stage.step(seats[one.name], script, limit_s=UNTIL_LIMIT_S)
        except LabError as error:
            if len(chosen) == 1:
                raise
            outcomes[one.name].problem = str(error)
    bundle = stage.collect(COLLECTOR.read_bytes(), chosen[0].collect) if collects else b""
    after = stage.look(stop=True)
    for one in chosen:
        stage.step(seats[one.name], one.undo)
        if one.vm == "linux":
            # A guest that hangs tells its numbers when it runs again.
            after.received[seats[one.name].vm] = stage.guest_received(seats[one.name])
    for one in chosen:
        count(outcomes[one.name], seats[one.name], before, after)
    stage.strike(list(seats.values()))
    return bundle


def climb(stage: Stage, outcome: Outcome, one: Scenario) -> bytes:
    """Find the highest rate at which all counts say that nothing is lost, also while the collector runs."""
    rate, sent = one.packets_per_s, 0
    while True:
        perform(stage, {one.name: outcome}, [replace(one, packets_per_s=rate)], collects=False)
        # The sender may be what cannot go faster.
        if outcome.loses or outcome.sent < sent * 1.1:
            break
        rate, sent = rate * CLIMB, outcome.sent
    while (rate := rate / STEP_DOWN) > LEAST_RATE:
        bundle = perform(stage, {one.name: outcome}, [replace(one, packets_per_s=rate)])
        if not outcome.loses:
            outcome.rate = round(rate)
            return bundle
    raise LabError(f"something is lost even at {rate:.0f} packets/s: {outcome.moved}, {outcome.lost} lost")


def count(outcome: Outcome, seat: Seat, before: Look, after: Look) -> None:
    """Keep what moved, as tools show it, and what both ends counted."""
    sight = verdict.real("sight")
    # A qdisc that is part of the cause began at 0.
    new = {place: 0 for place in after.numbers if " tc " in place and place not in before.numbers}
    moved = sight.losses(sight.moved({**before.numbers, **new}, after.numbers))
    outcome.moved = {place: amount for place, amount in moved.items() if not verdict.is_noise(place)}
    outcome.sent = after.sent.get(seat.vm, 0) - before.sent.get(seat.vm, 0)
    if seat.vm in after.received:
        outcome.received = after.received[seat.vm] - before.received.get(seat.vm, 0)
    if seat.vm in after.transmitted:
        outcome.transmitted = after.transmitted[seat.vm] - before.transmitted.get(seat.vm, 0)


@contextmanager
def locked(path: str | None) -> Iterator[None]:
    """Hold a lock file, so that not two machines share the CPUs; without a path nothing."""
    import fcntl  # noqa: PLC0415

    with ExitStack() as stack:
        if path:
            file = stack.enter_context(Path(path).open("w", encoding="ascii"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def groups(chosen: Sequence[Scenario], *, pack: bool) -> list[list[Scenario]]:
    """Return which scenarios are played together: one by one, or all that can share a machine at once."""
    order = sorted(chosen, key=lambda one: (VM_KINDS.index(one.vm), one.vhost, one.switch, one.name))
    together = [one for one in order if pack and not one.alone]
    packs = [together[at : at + PACK] for at in range(0, len(together), PACK)]
    return packs + [[one] for one in order if one not in together]


def run_kernel(
    kernel: images.Kernel, waiting: list[list[Scenario]], keep: Path, lock: str | None
) -> Iterator[tuple[Scenario, Outcome]]:
    """Run groups of scenarios on one kernel in one machine; each group takes its causes away again.

    One that could not be made ends its machine, is tried once more in a new one, and the rest go on there: a
    kernel that changes its own code (to trace) dies now and then under TCG.
    """
    failed: set[str] = set()
    while waiting:
        with_vm = any(one.vm != "client" for group in waiting for one in group)
        with ExitStack() as stack:
            with locked(lock):
                machine = stack.enter_context(Machine(kernel, with_vm=with_vm))
                stage = Stage(machine)
            problem = ""
            while waiting and not problem:
                group = waiting.pop(0)
                first = group[0]
                name = first.name if len(group) == 1 else f"together-{first.switch}-{first.name}"
                bundle = f"{name}-{kernel.name}.tar.gz"
                outcomes = {
                    one.name: Outcome(one.name, kernel.name, one.sum, kernel.release, bundle, number)
                    for number, one in enumerate(group)
                }
                with locked(lock):
                    began = time.monotonic()
                    try:
                        made = (
                            climb(stage, outcomes[first.name], first)
                            if first.climbs
                            else perform(stage, outcomes, group)
                        )
                        (keep / bundle).write_bytes(made)
                    except LabError as error:
                        log = keep_serial_log(machine, keep, f"{name}-{kernel.name}")
                        problem = f"{error} (console: {log})"
                    seconds = round(time.monotonic() - began, 1)
                if problem and name not in failed:
                    failed.add(name)
                    waiting.insert(0, group)
                    sys.stderr.write(f"again in a new machine: {problem}\n")
                    break
                for one in group:
                    outcome = outcomes[one.name]
                    outcome.seconds, outcome.problem = seconds, outcome.problem or problem
                    text = json.dumps(asdict(outcome), indent=1)
                    (keep / f"{one.name}-{kernel.name}.json").write_text(text + "\n", encoding="utf-8")
                    yield one, outcome


def result(scenario: Scenario, outcome: Outcome, keep: Path) -> dict[str, Any]:
    """Judge an outcome; return the row of the table."""
    row: dict[str, Any] = asdict(outcome)
    if outcome.problem:
        return row | {"reasons": {}, "untrue": [outcome.problem.splitlines()[0]], "wrong": []}
    bundle = keep / outcome.bundle
    seat = Seat(outcome.seat, scenario.switch)
    together = outcome.bundle.startswith("together-")
    seen = verdict.reasons(bundle)
    if together:
        seen = {name: count for name, count in seen.items() if name in scenario.truth.reasons}
        mine = (f"{seat.tap} ", "mon0 ") if scenario.expect.subject == "mon0" else (f"{seat.tap} ",)
        outcome.moved = row["moved"] = {
            place: amount for place, amount in outcome.moved.items() if place.startswith(mine)
        }
    row["reasons"] = seen
    untrue = verdict.wrong_truth(scenario, seat, outcome.moved, outcome.lost, seen)
    judged = verdict.judge(scenario, bundle, seat, together=together)
    answers = {name: asdict(getattr(judged, name)) for name in ("whole", "plain", "once")}
    return row | answers | {"untrue": untrue, "wrong": list(judged.wrong)}


def line(row: dict[str, Any]) -> str:
    """Return the line of the table."""
    whole, plain, once = (row.get(name) or {} for name in ("whole", "plain", "once"))
    moved = ", ".join(f"{place} +{amount}" for place, amount in row["moved"].items())
    answer = f"{whole.get('verdict') or 'no finding'} {whole.get('cause') or ''}"
    less = "/".join(str((one.get("verdict") or "-")[:3]) for one in (plain, once))
    ends = f"{row['sent']}/{'?' if row['received'] is None else row['received']}"
    right = "WRONG: " + "; ".join(row["wrong"]) if row["wrong"] else "right"
    right += "".join(f"; NOT AS MADE: {one}" for one in row["untrue"])
    right += f"; at {row['rate']:.0f} packets/s" if row["rate"] else ""
    return (
        f"{row['scenario']:26} {row['kernel']:5} {ends:>15}  {answer:44} {less:8} {row['seconds']:4.0f} s"
        f"  {right}"
        f"\n{'':33}moved: {moved or 'nothing'}; reasons: {','.join(row['reasons']) or 'none'}"
    )


def record(scenario: Scenario, outcome: Outcome, keep: Path) -> None:
    """Keep a small bundle that was judged right as a fixture, masked, and whose VM of it it is about."""
    if (keep / outcome.bundle).stat().st_size > FIXTURE_LIMIT:
        return
    fixture = masked.bundle(keep / outcome.bundle)
    (BUNDLES / outcome.bundle).write_bytes(fixture.data)
    index = BUNDLES / "index.json"
    known = json.loads(index.read_bytes()) if index.exists() else {}
    seat = Seat(outcome.seat, scenario.switch)
    known[f"{outcome.scenario}-{outcome.kernel}"] = {
        "bundle": outcome.bundle,
        "seat": outcome.seat,
        "vm": fixture.vm(seat),
        "guest_nic": fixture.guest_nic(seat),
    }
    index.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201 - the table is what this program is for


def kept(chosen: dict[str, dict[str, Scenario]], keep: Path) -> Iterator[tuple[Scenario, Outcome]]:
    """Give the outcomes that earlier runs left."""
    for kernel, ones in chosen.items():
        for scenario in ones.values():
            file = keep / f"{scenario.name}-{kernel}.json"
            if file.exists():
                yield scenario, Outcome(**json.loads(file.read_text(encoding="utf-8")))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    made = argparse.ArgumentParser(prog="run.py", description="Run the lab's scenarios.")
    made.add_argument(
        "--kernel", action="append", choices=list(images.KERNELS), help="repeatable; default: all"
    )
    made.add_argument("--scenario", action="append", help="name or pattern; repeatable")
    made.add_argument("--ci", action="store_true", help="only the scenarios of the ordinary tests")
    made.add_argument("--keep", type=Path, help="where bundles, logs and rows of the table go")
    made.add_argument("--judge", action="store_true", help="boot nothing: judge the kept bundles again")
    made.add_argument("--missing", action="store_true", help="only what was not run yet as it is now")
    made.add_argument(
        "--record",
        action="store_true",
        help="keep the bundles that were judged right as fixtures, and enter all results as prove.py does",
    )
    made.add_argument(
        "--pack", action="store_true", help="at once what can share a machine: one collection for all"
    )
    made.add_argument("--quick", action="store_true", help="with --pack: only what can share a machine")
    made.add_argument("--lock", help="a lock file to hold while a machine runs")
    return made


def choose(options: argparse.Namespace, kernels: Sequence[str], keep: Path) -> dict[str, dict[str, Scenario]]:
    """Return by kernel the scenarios that the arguments ask for."""
    chosen: dict[str, dict[str, Scenario]] = {}
    for kernel in kernels:
        chosen[kernel] = {
            name: one
            for name, one in scenarios.load(kernel).items()
            if any(fnmatch.fnmatch(name, pattern) for pattern in options.scenario or ["*"])
            and (not one.kernels or kernel in one.kernels)
            and (one.ci or not options.ci)
        }
        if options.missing:
            done = {
                one.name: seen.sum for one, seen in kept({kernel: chosen[kernel]}, keep) if not seen.problem
            }
            chosen[kernel] = {name: one for name, one in chosen[kernel].items() if done.get(name) != one.sum}
    return chosen


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments choose."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kernels = options.kernel or list(images.KERNELS)
    lacking = None if options.judge else images.why_unavailable() or images.why_not_built(kernels)
    if lacking:
        sys.stderr.write(f"the lab cannot work here: {lacking}\n")
        return 3
    sys.path.insert(0, str(verdict.TREE / "analyzer"))
    keep = options.keep or images.cache() / "results"
    keep.mkdir(parents=True, exist_ok=True)
    chosen = choose(options, kernels, keep)
    if not any(chosen.values()) and not options.missing:
        parser().error("no such scenario")
    say(f"{'scenario':26} {'kernel':5} {'sent/received':>15}  {'verdict and cause':44} {'less':8}   time")
    wrong = 0
    for kernel, ones in chosen.items():
        if options.judge:
            outcomes = kept({kernel: ones}, keep)
        elif ones:
            waiting = groups(
                [one for one in ones.values() if not (options.quick and one.alone)], pack=options.pack
            )
            outcomes = run_kernel(images.kernel(kernel), waiting, keep, options.lock)
        else:
            continue
        for scenario, outcome in outcomes:
            row = result(scenario, outcome, keep)
            name = f"{scenario.name}-{kernel}"
            (keep / f"{name}.row.json").write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
            say(line(row))
            bad = bool(row["wrong"] or row["untrue"])
            wrong += bad
            if options.record and not bad:
                record(scenario, outcome, keep)
    if options.record:
        prove.main(["--keep", str(keep)])
    say(f"{wrong} wrong" if wrong else "all right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
