# SPDX-License-Identifier: Apache-2.0
"""The shells to test under, and a made-up host for the collector to look at."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # importmode=importlib leaves it out

from collectors.fake_host import SHELLS, FakeHost, rich_host


@pytest.fixture(params=sorted(SHELLS), scope="session")
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Return the words that start one of the shells."""
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"NOT TESTED under {request.param}: {words[0]} is not installed")
    return words


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """Return a made-up host with two taps, a QEMU, libvirt and Open vSwitch."""
    return rich_host(tmp_path)
