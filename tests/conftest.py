# SPDX-License-Identifier: Apache-2.0
"""What all rooms' tests share."""

from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return the top folder of the source tree."""
    return TREE
