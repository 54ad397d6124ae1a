# SPDX-License-Identifier: Apache-2.0
"""The README's sample is what the command beside it prints."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_sample_is_what_analyze_prints(tree: Path) -> None:
    readme = (tree / "README.md").read_text(encoding="utf-8")
    sample = re.search(r"`vnetkb analyze (\S+)`\nprints it again\):\n\n```text\n(.*?)```", readme, re.DOTALL)
    assert sample is not None
    command = [sys.executable, "-m", "vnetkb", "analyze", sample[1]]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == sample[2]
