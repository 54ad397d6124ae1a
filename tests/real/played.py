# SPDX-License-Identifier: Apache-2.0
"""What the tests of real taps look at: a scenario that was played, and a report on its bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import bundles
import scenarios

Key: TypeAlias = tuple[str, bool]
"""A scenario's name, and whether it is collected with --trace."""


@dataclass(frozen=True)
class Played:
    """A scenario that was played: its bundle and what really happened."""

    scenario: str
    traced: bool
    bundle: Path
    truth: scenarios.Truth

    @property
    def devices(self) -> list[str]:
        """The taps of the scenario, in the order in which they were made."""
        return list(self.truth.ports)

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The members of the bundle by their path in it."""
        return bundles.members(self.bundle)[1]

    def tells_reasons(self) -> bool:
        """Tell whether the bundle has a trace with drop reasons; old kernels have none."""
        return b"reason:" in self.files.get("series/trace", b"")


@dataclass(frozen=True)
class Analyzed:
    """What `vnetkb analyze --format json` said, and its exit status."""

    status: int
    report: dict[str, Any]

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """The findings by device; the CPUs' queues are the machine's: other tests fill them on purpose."""
        ours = [each for each in self.report["findings"] if each["subject"]["kind"] != "softnet"]
        found = {finding["subject"]["name"]: finding for finding in ours}
        assert len(found) == len(ours), "one stored number is one finding"
        return found

    def candidate(self, device: str, rule: str) -> dict[str, Any]:
        """Return what became of one rule for one device."""
        candidates = {each["rule"]: each for each in self.findings[device]["candidates"]}
        chosen: dict[str, Any] = candidates[rule]
        return chosen


Analyze: TypeAlias = Callable[..., Analyzed]
"""Analyzes a bundle, with further options of the command."""
