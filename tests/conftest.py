# SPDX-License-Identifier: Apache-2.0
"""What all rooms' tests share."""

from __future__ import annotations

import importlib
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

# A run in the background, or under nohup, ignores signals, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A busy machine is slow, not wrong: no example fails for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TREE = Path(__file__).resolve().parents[1]
HOST = frozenset({"collectors", "delivery", "lab", "privacy", "real"})
"""Rooms whose tests use what a machine has once (tracing, switches, process names): all in one process."""


def room_of(nodeid: str) -> str:
    """Return the room of a test; all rooms of the host count as one."""
    room = nodeid.split("/")[1]
    return "host" if room in HOST else room


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest, the host's tests, come first."""
    items.sort(key=lambda item: room_of(item.nodeid) != "host")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - xdist has no types
    """Keep each room's tests in one process."""
    scheduler = importlib.import_module("xdist.scheduler").LoadScopeScheduling(config, log)
    scheduler._split_scope = room_of
    return scheduler


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the top folder of the source tree."""
    return TREE


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Yield the one Chromium of the run: playwright cannot be started twice at once."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium (apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()
