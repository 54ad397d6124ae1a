# SPDX-License-Identifier: Apache-2.0
"""What all rooms' tests share."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# A run that was started in the background ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong: no example fails for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TREE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the top folder of the source tree."""
    return TREE
