# SPDX-License-Identifier: Apache-2.0
"""Bundles for the tests: made ones and a recorded one."""

from pathlib import Path

import pytest

from bundle.maker import Maker

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return what makes bundles."""
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Return a bundle that the collector wrote on a real kernel."""
    (path,) = FIXTURES.glob("vnetkb-*.tar.gz")
    return path
