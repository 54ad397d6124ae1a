# SPDX-License-Identifier: Apache-2.0
"""Build a wheel and install it as a user would, without fetching anything."""

import subprocess
import sys
import sysconfig
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """Build the wheel of this tree into `folder` with this environment's hatchling and return it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=TREE, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, venv: Path) -> Path:
    """Install `wheel` into a fresh virtual environment and return its `vnetkb`.

    Its dependencies are those of this environment, so that nothing is fetched; the editable vnetkb in it
    stays out, because a path file inside a path file's folder is not read.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return venv / "bin" / "vnetkb"
