# SPDX-License-Identifier: Apache-2.0
"""A short run of the coverage-guided fuzzer on every target, and what it ever failed on, played again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz

TREE = Path(__file__).resolve().parents[2]
FOUND = sorted(path for path in fuzz.FINDINGS.glob("*/*") if path.is_file() and path.name != "README.md")
SECONDS = 40


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_is_mended(path: Path) -> None:
    fuzz.TARGETS[path.parent.name]()(path.read_bytes())


@pytest.mark.parametrize("target", sorted(fuzz.TARGETS))
def test_the_first_inputs_of_each_target_pass(target: str, tmp_path: Path) -> None:
    fuzz.seeds(target, tmp_path)
    inputs = sorted(tmp_path.iterdir())
    one = fuzz.TARGETS[target]()

    assert inputs
    for path in inputs[:: max(1, len(inputs) // 60)]:
        one(path.read_bytes())


def test_nothing_is_found_in_a_short_run() -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("NOT TESTED: atheris is not installed")

    done = subprocess.run(
        [sys.executable, str(TREE / "tools" / "fuzz.py"), "--seconds", str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(TREE / "analyzer"), "PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": no finding") == len(fuzz.TARGETS)
