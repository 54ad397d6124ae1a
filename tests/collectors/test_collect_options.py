# SPDX-License-Identifier: Apache-2.0
"""The command line: usage, the texts for people, and that they agree with the knowledge base."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from collectors.fake_host import QUICK, SCRIPT, TREE, FakeHost

USAGE = [
    ("--nonsense",),
    ("--guest",),
    ("--guest", ""),
    ("--guest", "a/b"),
    ("--guest-file", "web01"),
    ("--guest-file", "=x"),
    ("--guest-file", "web01=/nowhere/at/all"),
    ("surplus",),
    ("--output",),
    ("--output", ""),
    ("--interval", "0"),
    ("--interval", "-1"),
    ("--interval", "1e3"),
    ("--interval", "."),
    ("--interval", "1.2.3"),
    ("--interval", "12345678901"),
    ("--every", "0.01"),
    ("--every", "x"),
    ("--snapshots", "0"),
    ("--snapshots", "61"),
    ("--snapshots", "08"),
    ("--snapshots", "2.5"),
    ("--wait-for-drop", ""),
    ("--trace", "0"),
    ("--device", ""),
    ("--device", "a/b"),
    ("--device", "a b"),
    ("--device", ".."),
    ("--device", "a\nb"),
]


@pytest.mark.parametrize("options", USAGE, ids=" ".join)
def test_wrong_usage_is_two_and_says_what(host: FakeHost, shell: list[str], options: tuple[str, ...]) -> None:
    outcome = host.run(shell, *options)

    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("vnetkb-collect: ")
    assert list(host.out.iterdir()) == []


@pytest.mark.parametrize("interval", ["08", "00.10"])
def test_numbers_are_decimal(host: FakeHost, shell: list[str], interval: str) -> None:
    outcome = host.run(shell, f"--interval={interval}", "--snapshots", "1", "--quiet")

    assert outcome.bundle.manifest["options"]["interval_s"] == int(float(interval) * 100) / 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--device", "nosuch0"), "there is no network interface nosuch0"),
        (("--device", "no\x1b[31msuch"), "(name with unprintable bytes)"),
        (("--output", "/nonexistent/folder"), "/nonexistent/folder is no directory"),
    ],
)
def test_what_cannot_work_is_one_and_says_why(
    host: FakeHost, shell: list[str], options: tuple[str, str], says: str
) -> None:
    outcome = host.run(shell, *options)

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert says in outcome.stderr
    assert "nothing was written" in outcome.stderr


def test_an_interface_that_is_gone_does_not_stop_the_others(host: FakeHost, shell: list[str]) -> None:
    outcome = host.run(shell, *QUICK, "--snapshots", "1", "--device", "vnet3", "--device", "nosuch0")

    assert "there is no network interface nosuch0" in outcome.stderr
    assert outcome.bundle.manifest["options"]["devices"] == ["vnet3", "nosuch0"]
    assert not any(
        "nosuch0" in call for call in host.called("ethtool") + host.called("tc") + host.called("ip")
    )


def test_help_names_every_option(shell: list[str]) -> None:
    done = subprocess.run([*shell, str(SCRIPT), "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE)) | {"--version"}

    source = SCRIPT.read_text(encoding="utf-8")
    parser = source[source.index("parse_options() {") : source.index("option_with_value() {")]
    assert options == set(re.findall(r"--[a-z]+(?:-[a-z]+)*", parser))
    assert all(len(line) <= 120 for line in done.stdout.splitlines())


def test_version(shell: list[str]) -> None:
    done = subprocess.run([*shell, str(SCRIPT), "--version"], capture_output=True, text=True, check=True)

    assert re.fullmatch(r"vnetkb-collect \d+\.\d+\.\d+\n", done.stdout)


def test_list_says_what_the_knowledge_base_says(shell: list[str]) -> None:
    done = subprocess.run([*shell, str(SCRIPT), "--list"], capture_output=True, text=True, check=True)
    blocks = [block.splitlines() for block in done.stdout.strip().split("\n\n")][1:]
    listed = [{"id": block[0]} | {line[2:10].strip(): line[11:] for line in block[1:]} for block in blocks]
    known = yaml.safe_load((TREE / "kb" / "captures" / "host.yaml").read_text(encoding="utf-8"))["captures"]

    assert [row["id"] for row in listed] == [row["id"] for row in known]
    for shown, row in zip(listed, known, strict=True):
        assert shown["when"] == row["when"]
        assert shown["why"] == row["why"]
        assert shown["safe"] == row["safe"]
        assert shown["reveals"] == ", ".join(row["reveals"])
        assert shown["needs"] == (", ".join(row.get("needs", [])) or "-")
        told = [" ".join(row["argv"])] if "argv" in row else row["reads"]
        assert all(text in shown["what"] for text in told), row["id"]


def test_dry_run_prints_every_capture_and_runs_nothing(host: FakeHost, shell: list[str]) -> None:
    asked = ("--trace", "5", "--guest", "all", "--guest-file", f"web01={host.root}/proc/stat", "--rings")
    outcome = host.run(shell, "--dry-run", *asked)

    known = yaml.safe_load((TREE / "kb" / "captures" / "host.yaml").read_text(encoding="utf-8"))["captures"]
    shown = set(re.findall(r"^(?:(?:host|guest/VM)/[^/]*|series)/([a-z-]+): ", outcome.stdout, re.MULTILINE))
    assert outcome.returncode == 0
    assert shown == {row["id"] for row in known}
    assert outcome.stderr == ""
    assert list(host.out.iterdir()) == []
    calls = host.calls.read_text(encoding="ascii") if host.calls.exists() else ""
    assert calls == ""


def test_an_existing_file_is_never_overwritten(host: FakeHost, shell: list[str]) -> None:
    host.command(
        "date",
        """case "$*" in
          *%Y%m%d*) [ -e "$0.late" ] && echo 20261122T000001Z || echo 20261122T000000Z; true >"$0.late" ;;
          *) echo 2026-11-22T00:00:00Z ;; esac""",
    )
    taken = host.out / f"vnetkb-{os.uname().nodename}-20261122T000000Z.tar.gz"
    taken.symlink_to("/nonexistent")

    written = host.run(shell, *QUICK, "--snapshots", "1", "--quiet").bundle.path

    assert written.name.endswith("000001Z.tar.gz")
    assert taken.is_symlink()


@pytest.mark.parametrize("tool", ["shellcheck", "shfmt"])
def test_the_script_is_clean(tool: str) -> None:
    options = {"shellcheck": ["--shell=sh"], "shfmt": ["-p", "-i", "2", "-ci", "-d"]}
    program = shutil.which(tool, path=sysconfig.get_path("scripts")) or shutil.which(tool)
    if program is None:
        pytest.skip(f"NOT CHECKED: {tool} is not installed")

    done = subprocess.run([program, *options[tool], str(SCRIPT)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_lines_are_short_enough_to_read() -> None:
    source = Path(SCRIPT).read_text(encoding="utf-8")
    code = source[: source.index("catalogue() {")] + source[source.index("list_captures() {") :]

    assert [line for line in code.splitlines() if len(line) > 140] == []
