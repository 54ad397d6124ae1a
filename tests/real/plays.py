# SPDX-License-Identifier: Apache-2.0
"""Plays the scenarios that the chosen tests need, a few at a time, once for all tests."""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

import rig
import scenarios
from played import Analyze, Analyzed, Key, Played
from vnetkb.cli import main

AT_ONCE = 4
"""A run waits more than it works: about 0.7 s of CPU in 5 s."""
INTERVAL_S = 3
ALONE = frozenset({"reader-slow-busy", "reader-starved", "ring-too-small", "healthy"})
"""Scenarios that depend on the processors; they are played after the others, one at a time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them loudly where no tap can be made."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = rig.why_unavailable() if here else None
    for item in here:
        item.add_marker(pytest.mark.real)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"REAL TAPS NOT TESTED: {reason}"))


@pytest.fixture(scope="session")
def plays(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Key, Played | str]:
    """Play every scenario that a chosen test asks for through its parameter `played`."""
    chosen = (item for item in request.session.items if isinstance(item, pytest.Function))
    parameters = (item.callspec.params for item in chosen if hasattr(item, "callspec"))
    wanted: list[Key] = sorted({cast("Key", each["played"]) for each in parameters if "played" in each})
    first = {key: 100 + 10 * index for index, key in enumerate(wanted)}

    # Made here: the first call makes pytest's base folder, and two threads would make two.
    folders = {key: tmp_path_factory.mktemp(key[0]) for key in wanted}

    def play(key: Key) -> tuple[Key, Played | str]:
        return key, _play(*key, folders[key], first[key])

    together = [key for key in wanted if key[0] not in ALONE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = dict(pool.map(play, together))
    done.update(play(key) for key in wanted if key[0] in ALONE)
    return done


@pytest.fixture
def played(request: pytest.FixtureRequest, plays: Mapping[Key, Played | str]) -> Played:
    """Return the scenario that the test's parameter names: its name, and whether it is traced."""
    key: Key = request.param
    outcome = plays[key]
    assert isinstance(outcome, Played), outcome
    return outcome


def _play(scenario: str, traced: bool, folder: Path, first: int) -> Played | str:  # noqa: FBT001 - a pair of the matrix
    """Play a scenario and return it, or what went wrong, which fails the tests of this scenario only."""
    options = ["--quiet", "--interval", str(INTERVAL_S)]
    if traced:
        options += ["--trace", str(INTERVAL_S)]
    script = [sys.executable, scenarios.__file__, scenario, "--out", str(folder), "--first", str(first)]
    done = subprocess.run([*script, "--", *options], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        return done.stderr
    truth = scenarios.truth_from_json(json.loads(done.stdout))
    return Played(scenario, traced, Path(truth.bundle), truth)


@pytest.fixture(scope="session")
def analyze(tmp_path_factory: pytest.TempPathFactory) -> Analyze:
    """Return a function that runs `vnetkb analyze` on a bundle; the same question is asked once."""
    out = tmp_path_factory.mktemp("reports") / "report.json"
    answers: dict[tuple[str, ...], Analyzed] = {}

    def run(bundle: Path, *options: str) -> Analyzed:
        question = (*options, str(bundle))
        if question not in answers:
            status = main(["--debug", "analyze", "--format", "json", "-o", str(out), *question])
            answers[question] = Analyzed(status, json.loads(out.read_text(encoding="utf-8")))
        return answers[question]

    return run
