# SPDX-License-Identifier: Apache-2.0
"""Scenarios: a cause of loss, how it is made, what the analyzer should find. One file each in scenarios/."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
VM_KINDS = ("linux", "firmware")


@dataclass(frozen=True)
class Expect:
    """What the report must say about the tap.

    Attributes:
        finding: Is there a finding at all.
        verdict: Verdicts that are right, the best first.
        cause: Rule ids that are right, the best first.
    """

    finding: bool = True
    verdict: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One cause.

    Attributes:
        name: The file's name.
        truth: What happens to the packets, in words.
        vm: "linux": a guest that takes packets; "firmware": a VM without operating system, so no driver.
        vhost: Does vhost read the ring, or QEMU.
        tx_queue_len: Slots of the tap's ring.
        packets_per_s: What is sent to the guest, on average.
        burst: Packets that are sent back to back.
        make: Shell text that makes the cause, with the names of inside/vars.sh.
        until: Shell condition that says that the cause shows; the default is that drops begin.
        undo: Shell text that takes the cause away, so that the VM can be used for the next scenario.
        collect: Options of the collector.
        expect: What the analyzer should say.
    """

    name: str
    truth: str
    make: str
    undo: str
    expect: Expect
    vm: str = "linux"
    vhost: bool = True
    tx_queue_len: int = 1000
    packets_per_s: float = 100
    burst: int = 1
    until: str = "[ $(dropped) -gt $BEFORE ]"
    collect: str = "--interval 10 --every 1"
    kernels: tuple[str, ...] = field(default=())


def load(folder: Path = FOLDER) -> dict[str, Scenario]:
    """Return all scenarios by name."""
    return {file.stem: _scenario(file) for file in sorted(folder.glob("*.toml"))}


def _scenario(file: Path) -> Scenario:
    data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    unknown = set(data) - {one.name for one in fields(Scenario)}
    if unknown:
        raise ValueError(f"{file}: unknown {', '.join(sorted(unknown))}")
    expect = data.pop("expect")
    scenario = Scenario(
        name=file.stem,
        kernels=tuple(data.pop("kernels", ())),
        expect=Expect(
            finding=expect.get("finding", True),
            verdict=tuple(expect.get("verdict", ())),
            cause=tuple(expect.get("cause", ())),
        ),
        **data,
    )
    if scenario.vm not in VM_KINDS:
        raise ValueError(f"{file}: vm is {scenario.vm!r}, not one of {VM_KINDS}")
    return scenario
