# SPDX-License-Identifier: Apache-2.0
"""Ports that lose packets for one known reason each, collected from by the real collector.

`python scenarios.py NAME --out DIR` runs one in a sandbox of its own and prints, as JSON, where the bundle is
and what really happened: frames sent, refused and read, and the device's counters before and after.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rig

COLLECTOR = Path(__file__).resolve().parents[2] / "collectors" / "host" / "vnetkb-collect"
STEADY = 400
"""Packets per second that a scenario sends where the rate does not matter."""


@dataclass
class Port:
    """A tap of a scenario with whoever reads it and whoever sends to it."""

    device: str
    sender: rig.Sender
    reader: rig.Reader | None
    before: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PortTruth:
    """What really happened at one port, in frames; `before` and `after` are its sysfs counters."""

    sent: int
    refused: int
    read: int
    before: dict[str, int]
    after: dict[str, int]

    @property
    def dropped(self) -> int:
        """How far tx_dropped rose while the port was watched."""
        return self.after["tx_dropped"] - self.before["tx_dropped"]


@dataclass(frozen=True)
class Truth:
    """A finished scenario: its bundle, what the collector said, and the truth about each port."""

    bundle: str
    collector_stdout: str
    collector_stderr: str
    ports: dict[str, PortTruth]


class Stage:
    """What a scenario builds its ports on; device names start at `vnet<first>`."""

    def __init__(self, first: int) -> None:
        """Start with no port."""
        self._number = first
        self.ports: list[Port] = []
        self.children: list[rig.Child] = []
        self.groups: list[Path] = []

    def port(
        self,
        load: rig.Load,
        *,
        reads: rig.Behaviour | None = rig.read_blocking,
        stopped: bool = False,
        prepare: Callable[[rig.Tap], None] = lambda _: None,
        queues: int = 1,
        tx_queue_len: int | None = None,
    ) -> Port:
        """Add a port: `prepare` acts on the open tap; without `reads` no process keeps it (persistent)."""
        tap = rig.Tap(f"vnet{self._number}", queues=queues, tx_queue_len=tx_queue_len)
        self._number += 1
        prepare(tap)
        reader = None
        if reads is None:
            tap.set_persistent()
            tap.close()
        else:
            reader = rig.Reader(tap, reads)
            if stopped:
                reader.stop()
        before = tap.statistics()
        self.ports.append(Port(tap.name, rig.Sender(tap.name, load), reader, before))
        return self.ports[-1]

    def finish(self) -> dict[str, PortTruth]:
        """Stop the senders, let healthy readers catch up, and tell what happened."""
        for port in self.ports:
            port.sender.finish()
        time.sleep(0.2)
        return {
            port.device: PortTruth(
                sent=port.sender.sent,
                refused=port.sender.refused,
                read=port.reader.frames if port.reader else 0,
                before=port.before,
                after=rig.statistics(port.device),
            )
            for port in self.ports
        }


def _at(packets_per_s: int) -> rig.Load:
    return rig.Load.at_rate(packets_per_s)


def reader_stopped(stage: Stage) -> None:
    """The process that reads the tap is stopped by SIGSTOP."""
    stage.port(_at(1000), reads=rig.read_polling, stopped=True)


def reader_slow(stage: Stage) -> None:
    """The reader sleeps after every frame and takes a tenth of what comes."""
    stage.port(_at(1000), reads=rig.reading_slowly(sleep_s=0.01))


def reader_slow_busy(stage: Stage) -> None:
    """The reader computes after every frame and takes a fifth of what comes."""
    stage.port(_at(1000), reads=rig.reading_slowly(busy_s=0.005))


def reader_starved(stage: Stage) -> None:
    """The reader shares its only CPU with a busy process that the scheduler prefers.

    How long it waits is the scheduler's choice, a quarter of a second as well as half of one; the ring holds
    less than either.
    """
    cpu = {min(os.sched_getaffinity(0))}

    def compete() -> None:
        os.sched_setaffinity(0, cpu)
        os.setpriority(os.PRIO_PROCESS, 0, -5)
        while True:
            pass

    def read(fds: list[int], tally: rig.Tally) -> None:
        os.sched_setaffinity(0, cpu)
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        rig.read_polling(fds, tally)

    stage.port(_at(4000), reads=read, tx_queue_len=250)
    stage.children.append(rig.Child("competitor", compete))


def reader_throttled(stage: Stage) -> None:
    """The reader's cgroup may use a tenth of a CPU, and it needs several."""
    port = stage.port(_at(4000), reads=rig.reading_slowly(busy_s=0.0002))
    assert port.reader is not None
    stage.groups.append(rig.limit_cpu(port.reader.pid, share=0.1))


def ring_size_zero(stage: Stage) -> None:
    """Transmit queue length 0: the ring refuses everything."""
    stage.port(_at(STEADY), tx_queue_len=0)


def ring_too_small(stage: Stage) -> None:
    """A healthy reader behind a ring of 10, and bursts of 100 frames."""
    stage.port(rig.Load(burst=100, period_s=0.2), reads=rig.read_polling, tx_queue_len=10)


def queue_detached(stage: Stage) -> None:
    """Both queues of a multi-queue tap are detached; its process lives."""
    stage.port(_at(STEADY), reads=rig.never_read, prepare=rig.Tap.detach_queues, queues=2)


def no_reader(stage: Stage) -> None:
    """A persistent tap that no process has open."""
    stage.port(_at(STEADY), reads=None)


def address_filter(stage: Stage) -> None:
    """TUNSETTXFILTER lets another address in only."""
    stage.port(_at(STEADY), prepare=lambda tap: tap.set_address_filter(rig.OTHER_MAC))


def socket_filter(stage: Stage) -> None:
    """A classic BPF program on the tap's socket refuses every frame."""
    stage.port(_at(STEADY), prepare=rig.Tap.attach_dropping_socket_filter)


def ebpf_filter(stage: Stage) -> None:
    """An eBPF program of the tap's owner returns 0 for every frame."""
    stage.port(_at(STEADY), prepare=rig.Tap.attach_dropping_ebpf_filter)


def healthy(stage: Stage) -> None:
    """Two ports under load with readers that keep up."""
    stage.port(_at(2000), reads=rig.read_polling)
    stage.port(_at(1000), reads=rig.read_blocking)


def healthy_fast(stage: Stage) -> None:
    """A port at a rate near what the reader can do at all."""
    stage.port(_at(int(os.environ.get("VNETKB_RATE", "20000"))), reads=rig.read_polling)


def two_causes(stage: Stage) -> None:
    """One port's reader is stopped while another's socket filter refuses everything."""
    stage.port(_at(1000), stopped=True)
    stage.port(_at(STEADY), prepare=rig.Tap.attach_dropping_socket_filter)


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        reader_stopped,
        reader_slow,
        reader_slow_busy,
        reader_starved,
        reader_throttled,
        ring_size_zero,
        ring_too_small,
        queue_detached,
        no_reader,
        address_filter,
        socket_filter,
        ebpf_filter,
        healthy,
        healthy_fast,
        two_causes,
    )
}


def run(
    scenario: Callable[[Stage], None],
    out: Path,
    *,
    first: int = 0,
    options: Sequence[str] = (),
    warm_up_s: float = 1.5,
    say: Callable[[str], None] = lambda _: None,
) -> Truth:
    """Play a scenario in a sandbox, collect from it and return what happened.

    Args:
        scenario: Builds the ports.
        out: Folder for the bundle.
        first: Number of the first device, `vnet<first>`; concurrent runs with --trace need their own.
        options: More options for the collector.
        warm_up_s: Time for rings to fill before the collection starts.
        say: Told what happens next, for a person who watches.

    Raises:
        rig.RigError: No sandbox can be made here, or the collector failed.
    """

    def play() -> dict[str, Any]:
        stage = Stage(first)
        try:
            scenario(stage)
            time.sleep(warm_up_s)
            say("collect")
            done = subprocess.run(
                ["sh", str(COLLECTOR), "--output", str(out), *options],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode != 0:
                raise rig.RigError(f"the collector ended with {done.returncode}: {done.stderr}")
            ports = stage.finish()
        finally:
            for port in stage.ports:
                port.sender.kill()
                if port.reader is not None:
                    port.reader.kill()
            for child in stage.children:
                child.kill()
            for group in stage.groups:
                rig.remove_group(group)
        bundle = done.stdout.strip().splitlines()[-1]
        return asdict(Truth(bundle, done.stdout, done.stderr, ports))

    return truth_from_json(rig.in_sandbox(play))


def truth_from_json(data: dict[str, Any]) -> Truth:
    """Build a `Truth` from what `asdict` made of one."""
    ports = {device: PortTruth(**port) for device, port in data["ports"].items()}
    return Truth(data["bundle"], data["collector_stdout"], data["collector_stderr"], ports)


def main() -> int:
    """Run the scenario named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SCENARIOS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.epilog = "Options for the collector follow after --."
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    chosen = parser.parse_args(arguments[:end])
    truth = run(SCENARIOS[chosen.name], chosen.out, first=chosen.first, options=arguments[end + 1 :])
    json.dump(asdict(truth), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
