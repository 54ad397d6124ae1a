# SPDX-License-Identifier: Apache-2.0
"""Captured text for the tests of the parsers; fixtures/README.md says where it comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def captured() -> Callable[[str], bytes]:
    """Return what reads one captured text by its path below fixtures/."""
    return lambda name: (FIXTURES / name).read_bytes()
