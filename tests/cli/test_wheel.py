# SPDX-License-Identifier: Apache-2.0
"""The package as users install it: a wheel that holds the knowledge, the schemas and the collectors."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import wheel
from vnetkb.kb.load import documents_below

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module", name="packed")
def packed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.install(packed, tmp_path_factory.mktemp("venv"))


def run(command: Path, *arguments: str, folder: Path) -> str:
    done = subprocess.run([str(command), *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_wheel_holds_every_file_of_the_data_folders(packed: Path, tree: Path) -> None:
    names = set(zipfile.ZipFile(packed).namelist())
    expected = {
        # Translations are compiled.
        f"vnetkb/_data/{file.relative_to(tree).as_posix()}".replace(".po", ".mo")
        for folder in ("kb", "schemas", "collectors")
        for file in (tree / folder).rglob("*")
        if file.is_file()
    }
    assert expected <= names
    assert "vnetkb/_data/kb.json" in names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "kb/"))]


def test_the_compiled_knowledge_is_that_of_the_tree(packed: Path, tree: Path) -> None:
    compiled = json.loads(zipfile.ZipFile(packed).read("vnetkb/_data/kb.json"))
    assert set(compiled["documents"]) == set(documents_below(tree / "kb"))


def test_the_installed_command_works_outside_the_tree(installed: Path, tree: Path, tmp_path: Path) -> None:
    assert "analyze" in run(installed, "--help", folder=tmp_path)
    script = run(installed, "collect", "--print", "host", folder=tmp_path)
    assert script == (tree / "collectors/host/vnetkb-collect").read_text(encoding="utf-8")
    assert "tx_dropped" in run(installed, "explain", "tap.tx_dropped", folder=tmp_path)
    assert "虚拟机" in run(installed, "explain", "tap.tx_dropped", "--lang", "zh", folder=tmp_path)
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


def test_every_module_that_is_imported_comes_with_the_package(tree: Path) -> None:
    """What only the developers' environment has would be missing after `pip install`."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower()
        for requirement in [*project["dependencies"], *extras["export"], *extras["verify"]]
    }
    imported = set()
    for file in (tree / "analyzer/vnetkb").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                imported.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    foreign = imported - set(sys.stdlib_module_names) - {"vnetkb"}
    assert {"typer", "yaml"} <= foreign
    undeclared = {
        module for module in foreign if not declared & {name.lower() for name in distributions[module]}
    }
    assert undeclared == set()


def test_what_make_installs_runs_with_the_python_of_debian_12(tree: Path) -> None:
    """A version that wants Python 3.11.5 makes pip give up on a bare Debian 12, whose Python is 3.11.2."""
    lines = (tree / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    wants = {
        (each.name, each.version): each.metadata["Requires-Python"]
        for each in distributions()
        if each.name.lower() in pinned and each.metadata["Requires-Python"]
    }
    assert len(wants) > 20
    assert [name for name, python in wants.items() if not SpecifierSet(python).contains("3.11.2")] == []
