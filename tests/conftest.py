# SPDX-License-Identifier: Apache-2.0
"""What all rooms' tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: no example fails for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TREE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the top folder of the source tree."""
    return TREE
