# SPDX-License-Identifier: Apache-2.0
"""analyze, validate and show on the demo's recorded bundle: a port whose reader is stopped, a healthy one."""

import json
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bundles
from vnetkb.cli import main

Run = Callable[..., tuple[int, str, str]]

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process: its status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        output = capsys.readouterr()
        return status, output.out, output.err

    return call


@pytest.fixture(scope="session")
def recorded(tree: Path) -> Path:
    (bundle,) = (tree / "tests/data/demo").glob("vnetkb-*.tar.gz")
    return bundle


@pytest.fixture
def hostile(recorded: Path, tmp_path: Path) -> Path:
    """Make a bundle whose port, process and host would clear a terminal and turn its text around."""
    evil = "v\x1b[2J\u202e3".encode()
    captures = {capture["id"] for capture in bundles.manifest(recorded)["captures"]}
    edits: dict[str, bundles.Edit] = dict.fromkeys(captures, lambda data: data.replace(b"vnet3", evil))
    edits["proc-version"] = lambda _: b"Linux \x1b]0;owned\x07 \xff\xfe\n"
    return bundles.rewrite(recorded, tmp_path / "vnetkb-evil.tar.gz", edit=edits)


def test_the_text_answers_and_the_status_says_harmful(run: Run, recorded: Path) -> None:
    status, text, complaints = run("analyze", str(recorded))
    assert (status, complaints) == (1, "")
    assert "tap-ring-reader-stopped" in text


def test_json_goes_to_the_file_and_nothing_else_is_left_there(
    run: Run, recorded: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    out.write_text("old", encoding="utf-8")
    assert run("analyze", "--format", "json", "-o", str(out), str(recorded)) == (1, "", "")
    assert [finding["subject"]["name"] for finding in json.loads(out.read_text())["findings"]] == ["vnet3"]
    assert list(tmp_path.iterdir()) == [out]
    assert stat.S_IMODE(out.stat().st_mode) == 0o644


def test_a_dash_is_standard_output(run: Run, recorded: Path) -> None:
    _, text, _ = run("analyze", "--format", "json", "-o", "-", str(recorded))
    assert json.loads(text)["schema_version"] == "1"


def test_a_report_that_cannot_be_written_leaves_the_old_one(run: Run, recorded: Path, tmp_path: Path) -> None:
    status, text, complaints = run("analyze", "-o", str(tmp_path / "nowhere" / "report"), str(recorded))
    assert (status, text) == (2, "")
    assert complaints.startswith(f"vnetkb: {tmp_path}/nowhere/report: cannot be written: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("device", "fail_on", "expected"),
    [
        ("vnet3", "harmful", 1),
        ("vnet3", "watch", 1),
        ("vnet3", "any", 1),
        ("vnet4", "harmful", 0),
        ("vnet4", "any", 0),
    ],
)
def test_fail_on_looks_at_the_findings_that_are_shown(
    run: Run, recorded: Path, device: str, fail_on: str, expected: int
) -> None:
    status, text, _ = run(
        "analyze", "--format", "json", "--device", device, "--fail-on", fail_on, str(recorded)
    )
    assert status == expected
    assert len(json.loads(text)["findings"]) == expected


def test_an_unknown_device_is_usage_and_the_known_ones_are_named(run: Run, recorded: Path) -> None:
    status, text, complaints = run("analyze", "--device", "vnet99", str(recorded))
    assert (status, text) == (2, "")
    assert "vnet99" in complaints
    assert "vnet3, vnet4" in complaints


@pytest.mark.parametrize("command", [("analyze",), ("analyze", "--all"), ("validate",), ("show",)])
def test_nothing_from_a_bundle_steers_the_terminal(run: Run, hostile: Path, command: tuple[str, ...]) -> None:
    status, text, complaints = run(*command, str(hostile))
    assert status in {0, 1}
    assert text
    assert not CONTROL.search(text + complaints)


def test_json_of_a_hostile_bundle_is_json(run: Run, hostile: Path) -> None:
    _, text, _ = run("analyze", "--format", "json", str(hostile))
    assert not CONTROL.search(text)
    assert [finding["subject"]["name"] for finding in json.loads(text)["findings"]] == ["v\x1b[2J\u202e3"]


def test_show_prints_a_member_escaped_by_either_name(run: Run, hostile: Path) -> None:
    top, _ = bundles.members(hostile)
    for member in ("host/0/proc-version", f"{top}/host/0/proc-version"):
        assert run("show", str(hostile), member) == (0, "Linux \\x1b]0;owned\\x07 \\xff\\xfe\n", "")


def test_show_lists_every_member_with_its_size_and_what_is_missing(run: Run, recorded: Path) -> None:
    _, files = bundles.members(recorded)
    status, text, _ = run("show", str(recorded))
    listed = {name: int(size) for size, name in re.findall(r"^ +(\d+)  (\S+)$", text, re.MULTILINE)}
    assert status == 0
    assert listed == {name: len(data) for name, data in files.items()}
    assert "series/trace" in text


def test_show_of_no_such_member_is_usage(run: Run, recorded: Path) -> None:
    status, text, complaints = run("show", str(recorded), "host/7/nothing")
    assert (status, text) == (2, "")
    assert "host/7/nothing" in complaints


def test_validate_tells_what_is_missing_and_what_it_costs(run: Run, recorded: Path, tmp_path: Path) -> None:
    status, text, _ = run("validate", str(recorded))
    assert status == 0
    assert "no faults" in text
    cut = bundles.rewrite(recorded, tmp_path / "vnetkb-cut.tar.gz", drop_captures={"proc-status"})
    status, text, _ = run("validate", str(cut))
    (line,) = (line for line in text.splitlines() if " proc-status: " in line)
    assert status == 0
    assert "; less evidence for " in line


def test_what_the_collector_did_not_know_yet_is_one_line(run: Run, recorded: Path) -> None:
    _, text, _ = run("validate", str(recorded))
    (line,) = (line for line in text.splitlines() if "names none of" in line)
    count = int(line.partition("names none of ")[2].split()[0])
    assert len(line.rpartition(": ")[2].split(", ")) == count
    assert "does not mention" not in text


def test_validate_finds_a_changed_member(run: Run, recorded: Path, tmp_path: Path) -> None:
    whole = recorded.read_bytes()
    damaged = tmp_path / "vnetkb-damaged.tar.gz"
    unpacked = subprocess.run(["gzip", "-dc"], input=whole, capture_output=True, check=True).stdout
    changed = unpacked.replace(b"vnet3/mtu:1500", b"vnet3/mtu:9000", 1)
    assert changed != unpacked
    damaged.write_bytes(subprocess.run(["gzip", "-c"], input=changed, capture_output=True, check=True).stdout)
    status, text, _ = run("validate", str(damaged))
    assert status == 1
    assert "sysfs-net" in text


def test_a_terminal_without_unicode_gets_an_answer_too(recorded: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vnetkb", "analyze", str(recorded)],
        env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == b""
    assert b"tap-ring-reader-stopped" in done.stdout
    assert done.stdout.isascii()
