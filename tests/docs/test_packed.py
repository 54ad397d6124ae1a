# SPDX-License-Identifier: Apache-2.0
"""A wheel that was built beside the docs carries them, and `vnetkb docs` finds them."""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import wheel

pytestmark = [pytest.mark.docs, pytest.mark.packaging]
MOST_BYTES = 10_000_000


@pytest.mark.usefixtures("built")
def test_the_wheel_carries_the_docs(tmp_path: Path) -> None:
    packed = wheel.build(tmp_path / "wheel")
    assert packed.stat().st_size < MOST_BYTES
    installed = wheel.install(packed, tmp_path / "venv")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for arguments in (["tap.tx_dropped"], ["tap-ring-full", "--lang", "zh"]):
        command = [str(installed), "docs", "--print", *arguments]
        told = subprocess.run(
            command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=True
        ).stdout
        parts = urlsplit(told.strip())
        page = Path(url2pathname(parts.path))
        assert page.is_relative_to(tmp_path / "venv")
        assert f'id="{parts.fragment}"' in page.read_text(encoding="utf-8")
