# SPDX-License-Identifier: Apache-2.0
"""The package as users install it: a wheel that holds the knowledge, the schemas and the collectors."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=tree,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh virtual environment and return its `vnetkb`.

    Its dependencies are those of this environment, so that nothing is fetched; the editable vnetkb in it
    stays out, because a path file inside a path file's folder is not read.
    """
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return venv / "bin" / "vnetkb"


def run(command: Path, *arguments: str, folder: Path) -> str:
    done = subprocess.run([str(command), *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_wheel_holds_every_file_of_the_data_folders(wheel: Path, tree: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"vnetkb/_data/{file.relative_to(tree).as_posix()}"
        for folder in ("kb", "schemas", "collectors")
        for file in (tree / folder).rglob("*")
        if file.is_file()
    }
    assert expected <= packed
    assert "vnetkb/_data/kb.json" in packed
    assert not [name for name in packed if name.startswith(("tests/", "tools/", "kb/"))]


def test_the_compiled_knowledge_is_that_of_the_tree(wheel: Path, tree: Path) -> None:
    compiled = json.loads(zipfile.ZipFile(wheel).read("vnetkb/_data/kb.json"))
    documents = {file.relative_to(tree / "kb").as_posix() for file in (tree / "kb").rglob("*.yaml")}
    assert set(compiled["documents"]) == documents


def test_the_installed_command_works_outside_the_tree(installed: Path, tree: Path, tmp_path: Path) -> None:
    assert "analyze" in run(installed, "--help", folder=tmp_path)
    script = run(installed, "collect", "--print", "host", folder=tmp_path)
    assert script == (tree / "collectors/host/vnetkb-collect").read_text(encoding="utf-8")
    assert "tx_dropped" in run(installed, "explain", "tap.tx_dropped", folder=tmp_path)
    code = "import vnetkb; print(vnetkb.__file__)"
    place = run(installed.with_name("python"), "-c", code, folder=tmp_path)
    assert place.startswith(str(installed.parents[1]))


def test_the_installed_command_analyzes(installed: Path, tree: Path, tmp_path: Path) -> None:
    (bundle,) = (tree / "tests/data/demo").glob("vnetkb-*.tar.gz")
    done = subprocess.run(
        [str(installed), "analyze", "--format", "json", str(bundle)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    assert [finding["cause"] for finding in report["findings"]] == ["tap-ring-reader-stopped"]
