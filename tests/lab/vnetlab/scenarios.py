# SPDX-License-Identifier: Apache-2.0
"""Scenarios: a cause of loss, how it is made, what moves, what the analyzer should find. One file each."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
VM_KINDS = ("client", "linux", "firmware")
SWITCHES = ("bridge", "ovs", "own")
JUDGING = frozenset({"text", "truth", "expect", "plain", "once", "on", "alone", "ci"})
"""What of a scenario says how it is judged, not how it is made: a result stays when that changes."""


@dataclass(frozen=True)
class Expect:
    """What the report must say.

    Attributes:
        finding: Is there a finding at all.
        asked: Must there be one: a loss that no capture shows needs none.
        subject: What the finding is about; "own": the bridge of its own.
        counter: The symptom's counter; empty: that of any, "silent": none.
        verdict: Verdicts that are right, the best first.
        cause: Rule ids that are right, the best first; an empty text stands for no cause.
        contributors: Rule ids of which the report must name each as cause or contributor.
        also: Causes of further findings that are right as well.
        notices: Rule ids of notices that must be there.
    """

    finding: bool = True
    asked: bool = True
    subject: str = "vnet0"
    counter: str = ""
    verdict: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What really happens, told by the kernel and by both ends.

    Attributes:
        loses: Are packets lost.
        moves: Numbers of losses that rise, as tests/real/sight.py names their places; "*" matches any part.
        may_move: Numbers of losses that may rise.
        reasons: Drop reasons that must be seen, where this kernel tells any.
        sites: Sites of the knowledge base at which the packets are lost.
    """

    loses: bool = True
    moves: tuple[str, ...] = ()
    may_move: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One cause.

    Attributes:
        name: The file's name.
        text: What happens to the packets, in words.
        vm: "client": a stand-in for a guest, which takes packets at rate; "linux": a guest under TCG;
            "firmware": a VM without operating system, so no driver.
        client: Settings of the stand-in, see inside/vhostvm.c.
        vhost: Does vhost read the ring, or QEMU.
        switch: What the tap is a port of: the Linux bridge of all, Open vSwitch, or a bridge of its own,
            whose sums are then its alone.
        tx_queue_len: Slots of the tap's ring.
        packets_per_s: What is sent to the guest, on average; 0 is as fast as it goes.
        climbs: Is it made at the highest rate without loss, found from `packets_per_s` on upward.
        burst: Packets that are sent back to back.
        size: Payload of a packet in bytes.
        flows: Sockets that they are sent by in turn.
        setup: Shell text before anything is sent, with the names of inside/vars.sh.
        make: Shell text that makes the cause.
        until: Shell condition that says that the cause shows; the default is that drops begin.
        undo: Shell text that takes the cause away, so that the machine can be used for the next scenario.
        collect: Options of the collector.
        kernels: Kernels that have what it needs; empty: all.
        alone: Does it disturb others in the same machine, or has it to be alone there to be what it is.
        ci: Is it among those that the ordinary tests run.
        truth: What then really happens.
        sum: Changes with what of the file says how the cause is made on this kernel (`[on.KERNEL.made]`).
        expect: What the analyzer should say of the whole bundle.
        plain: What it should say without the trace, where that is something else.
        once: What it should say of one snapshot.
    """

    name: str
    text: str
    make: str
    truth: Truth
    expect: Expect
    plain: Expect
    once: Expect
    vm: str = "client"
    client: str = ""
    vhost: bool = True
    switch: str = "bridge"
    tx_queue_len: int = 1000
    packets_per_s: float = 200
    climbs: bool = False
    burst: int = 1
    size: int = 200
    flows: int = 1
    setup: str = ":"
    until: str = "[ $(dropped) -gt $BEFORE ]"
    undo: str = ":"
    collect: str = "--interval 5 --every 1 --trace 5"
    kernels: tuple[str, ...] = ()
    alone: bool = False
    ci: bool = False
    sum: str = ""


def load(kernel: str = "", folder: Path = FOLDER) -> dict[str, Scenario]:
    """Return all scenarios by name, as they are on a kernel."""
    return {file.stem: _scenario(file, kernel) for file in sorted(folder.glob("*.toml"))}


def _known(kind: type, data: Mapping[str, Any], file: Path) -> dict[str, Any]:
    unknown = set(data) - {one.name for one in fields(kind)}
    if unknown:
        raise ValueError(f"{file}: unknown {', '.join(sorted(unknown))}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _scenario(file: Path, kernel: str) -> Scenario:
    data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    making = {key: value for key, value in data.items() if key not in JUDGING}
    others = data.pop("on", {})
    for names, changes in others.items():
        if kernel in names.split():
            otherwise = changes.pop("made", {})
            data |= otherwise
            making |= otherwise
            for table, entries in changes.items():
                data[table] = {**data.get(table, {}), **entries}
    truth = Truth(**_known(Truth, data.pop("truth", {}), file))
    expect = Expect(**_known(Expect, data.pop("expect"), file))
    plain = replace(expect, **_known(Expect, data.pop("plain", {}), file))
    once = replace(plain, **_known(Expect, data.pop("once", {}), file))
    scenario = Scenario(
        name=file.stem,
        truth=truth,
        expect=expect,
        plain=plain,
        once=once,
        sum=hashlib.sha256(json.dumps(making, sort_keys=True).encode()).hexdigest()[:12],
        **_known(Scenario, data, file),
    )
    if scenario.vm not in VM_KINDS or scenario.switch not in SWITCHES:
        raise ValueError(f"{file}: vm or switch is not one of {VM_KINDS}, {SWITCHES}")
    if scenario.climbs and not scenario.alone:
        raise ValueError(f"{file}: what climbs is made alone")
    return scenario
