# SPDX-License-Identifier: Apache-2.0
"""The shells to test under."""

import shutil

import pytest

from collectors.fake_host import SHELLS


@pytest.fixture(params=sorted(SHELLS), scope="session")
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Return the words that start one of the shells."""
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"NOT TESTED under {request.param}: {words[0]} is not installed")
    return words
