# SPDX-License-Identifier: Apache-2.0
"""The command line: exit statuses, one-line errors, quiet ends, and what it does not import."""

import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vnetkb import __version__, cli
from vnetkb.errors import KnowledgeFault, UnusableInput, UsageProblem, VnetkbError
from vnetkb.paths import collector


def vnetkb(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vnetkb", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def test_version() -> None:
    assert vnetkb("--version").stdout == f"vnetkb {__version__}\n"


def test_help_names_every_command_and_every_command_has_an_example() -> None:
    overview = vnetkb("--help").stdout
    listed = re.findall(r"^  ([a-z]+) {2,}", overview[overview.index("Commands:") :], re.MULTILINE)
    assert listed == [
        "analyze",
        "compare",
        "path",
        "validate",
        "collect",
        "show",
        "export",
        "redact",
        "explain",
        "docs",
        "kb",
    ]
    for command in (*((name,) for name in listed if name != "kb"), ("kb", "lint"), ("kb", "test")):
        text = vnetkb(*command, "--help").stdout
        assert re.search(rf"^ +vnetkb {' '.join(command)}\b", text, re.MULTILINE), command


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_report_without_pictures_imports_nothing_that_draws(form: str, tree: Path) -> None:
    code = (
        "import sys; from vnetkb.cli import main; status = main(sys.argv[1:]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    bundle = tree / "tests/lab/bundles/vm-stopped-guest-6.1.tar.gz"
    done = subprocess.run(
        [sys.executable, "-c", code, "analyze", "--format", form, str(bundle)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(re.findall(r"'(\w+)'", done.stderr))
    assert "vnetkb" in loaded
    assert loaded.isdisjoint({"jsonschema", "jinja2", "rich", "pandas", "numpy", "pyarrow"})


@pytest.mark.parametrize("arguments", [("--help",), ("analyze", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys; from vnetkb.cli import main; status = main(sys.argv[1:]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    loaded = set(re.findall(r"'(\w+)'", done.stderr))
    assert "typer" in loaded
    assert loaded.isdisjoint(
        {"yaml", "jsonschema", "jinja2", "rich", "pandas", "numpy", "pydantic", "tarfile"}
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("analyse",), "vnetkb: No such command 'analyse'. Did you mean 'analyze'?"),
        (("analyze",), "vnetkb: Missing argument"),
        (("analyze", "--format", "pdf", "x"), "vnetkb: Invalid value for '--format'"),
        (("validate", "--nope", "x"), "vnetkb: No such option: --nope"),
        (
            ("collect", "--print", "host", "--interval", "3"),
            "vnetkb: collect --print takes no other arguments",
        ),
    ],
)
def test_usage_is_one_line_and_status_2(arguments: tuple[str, ...], expected: str) -> None:
    done = vnetkb(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_no_command_shows_the_help_and_is_usage() -> None:
    done = vnetkb()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageProblem("what"), 2),
        (UnusableInput("not a bundle", file="a.tgz", member="m", found="b", expected="c"), 3),
        (KnowledgeFault("rule x"), 4),
        (KnowledgeFault("rule x", overlay=True), 3),
        (VnetkbError("broken"), 4),
        (KeyError("what"), 4),
    ],
)
def test_each_error_has_its_status_and_one_line(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert cli.main([]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("vnetkb: ")
    assert output.err.count("\n") == 1
    assert ("--debug" in output.err) == (status == 4)
    with pytest.raises(type(error)):
        cli.main(["--debug"])


def test_unusable_input_names_file_member_found_and_expected() -> None:
    error = UnusableInput(
        "not a manifest", file="a.tgz", member="manifest.json", found="[]", expected="an object"
    )
    assert str(error) == "a.tgz: manifest.json: not a manifest: found [], expected an object"


def test_errors_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UnusableInput("\x1b[2Jwiped\nsecond\u202eline", file=b"\xff".decode("utf-8", "surrogateescape"))

    monkeypatch.setattr(cli, "app", fail)
    cli.main([])
    assert capsys.readouterr().err == "vnetkb: \\xff: \\x1b[2Jwiped second\\u202eline\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x1f\x8b\x08\x00", b"PK\x03\x04"],
    ids=["empty", "text", "cut gzip", "zip"],
)
@pytest.mark.parametrize("command", ["analyze", "validate", "show"])
def test_what_is_no_bundle_is_status_3(command: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    file.write_bytes(content)
    done = vnetkb(command, str(file))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("vnetkb: ")
    assert "bundle.tar.gz" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["analyze", "validate", "show"])
def test_no_file_and_a_folder_are_status_3(command: str, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.tar.gz", tmp_path):
        done = vnetkb(command, str(path))
        assert (done.returncode, done.stdout) == (3, "")
        assert path.name in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["host", "guest-linux", "guest-windows", "guest-windows-cmd"])
def test_collect_print_gives_the_script_as_it_is(script: str) -> None:
    words = [sys.executable, "-m", "vnetkb", "collect", "--print", script]
    done = subprocess.run(words, capture_output=True, check=True)

    assert done.stdout == collector(script).read_bytes()
    assert done.stderr == b""


def test_collect_runs_the_script_with_its_arguments_and_status(tmp_path: Path) -> None:
    done = vnetkb("collect", "--no-such-option")
    assert done.returncode == 2
    assert "no-such-option" in done.stderr
    assert vnetkb("collect", "--", "--help").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_explain_finds_a_counter_by_its_id_and_by_a_tools_name_for_it() -> None:
    by_id = vnetkb("explain", "tap.tx_dropped", "--kernel", "5.10")
    by_tool = vnetkb("explain", "ip -s link TX dropped")
    assert (by_id.returncode, by_tool.returncode) == (0, 0)
    assert by_id.stdout.startswith("tap.tx_dropped ")
    assert by_tool.stdout.startswith("tap.tx_dropped ")
    assert "tun.tun_net_xmit.ring_full" in by_id.stdout


@pytest.mark.parametrize("name", ["tx", "no such thing at all"])
def test_explain_of_what_is_no_one_thing_is_usage(name: str) -> None:
    done = vnetkb("explain", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert name in done.stderr


def test_our_own_knowledge_has_no_faults() -> None:
    assert vnetkb("kb", "lint").returncode == 0
    done = vnetkb("kb", "test")
    assert done.returncode == 0
    assert re.fullmatch(r"[1-9]\d+ passed, 0 failed\n", done.stdout)


@pytest.fixture
def overlay(tree: Path, tmp_path: Path) -> Path:
    """Make an overlay that replaces one rule by a copy with a case that expects the wrong thing."""
    rule = (tree / "kb/rules/tap/tap-ring-size-zero.yaml").read_text(encoding="utf-8")
    folder = tmp_path / "mine" / "rules" / "tap"
    folder.mkdir(parents=True)
    wrong = re.sub(r"status: (ruled-out|confirmed)", "status: likely", rule, count=1)
    assert wrong != rule
    (folder / "tap-ring-size-zero.yaml").write_text(wrong, encoding="utf-8")
    return tmp_path / "mine"


def test_a_rules_case_that_comes_out_otherwise_is_named_and_status_1(overlay: Path) -> None:
    done = vnetkb("kb", "test", "--kb", str(overlay))
    assert done.returncode == 1
    assert done.stdout.startswith("tap-ring-size-zero: ")
    assert done.stdout.endswith(" 1 failed\n")


def test_a_broken_overlay_is_found_by_lint_and_cannot_be_used(overlay: Path, tmp_path: Path) -> None:
    (overlay / "rules" / "tap" / "tap-ring-size-zero.yaml").write_text("id: [", encoding="utf-8")
    done = vnetkb("kb", "lint", "--kb", str(overlay))
    assert done.returncode == 1
    assert "tap-ring-size-zero.yaml" in done.stdout
    for command in (("kb", "test"), ("explain", "tap.tx_dropped")):
        unusable = vnetkb(*command, "--kb", str(overlay))
        assert unusable.returncode == 3
        assert "tap-ring-size-zero.yaml" in unusable.stderr
    assert vnetkb("kb", "lint", str(tmp_path / "nowhere")).returncode == 3


def test_a_reader_who_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m vnetkb collect --print host | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "#!/bin/sh\n0\n"
    assert done.stderr == ""


def test_ctrl_c_is_quiet() -> None:
    code = (
        "import os, signal, sys; from vnetkb import cli\n"
        "cli._emit = lambda _: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(cli.main(['collect', '--print', 'host']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")


EARLY = [
    ("--help",),
    ("analyze", "--help"),
    ("--version",),
    ("explain", "tap.tx_dropped"),
    ("collect", "--list"),
]


@pytest.mark.parametrize("command", EARLY, ids=" ".join)
def test_nobody_who_reads_is_no_error_and_no_noise(command: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = [sys.executable, "-m", "vnetkb", *command]
    done = subprocess.run(run, stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    os.close(writer)
    assert (done.returncode in {0, -signal.SIGPIPE}, done.stderr) == (True, b"")


@pytest.mark.parametrize("command", EARLY[:4], ids=" ".join)
def test_a_full_disk_is_told_in_one_line(command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        run = [sys.executable, "-m", "vnetkb", *command]
        done = subprocess.run(
            run, stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False
        )
    expected = "vnetkb: standard output: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, expected)


@pytest.mark.parametrize("command", [*EARLY[2:4], ("kb", "lint")], ids=" ".join)
def test_a_closed_standard_output_is_told_in_one_line(command: tuple[str, ...]) -> None:
    run = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "vnetkb", *command]
    done = subprocess.run(run, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "vnetkb: standard output: cannot be written: it is closed\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [((), 2), (("no-such-command",), 2), (("explain", "no such number"), 2), (("show", "/nowhere"), 3)],
)
def test_a_closed_standard_error_changes_no_status(command: tuple[str, ...], status: int) -> None:
    run = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "vnetkb", *command]
    assert subprocess.run(run, stdin=subprocess.DEVNULL, check=False).returncode == status


@pytest.mark.parametrize("packed", [0, 1], ids=["plain", "gzip"])
def test_a_guests_file_in_place_of_a_bundle_is_told_where_it_goes(packed: int, tmp_path: Path) -> None:
    text = b"VNETKB-CONTAINER 1 vnetkb-guest-web01-20261122T134500Z\n@@END\n" + b"x" * 600
    file = tmp_path / "vnetkb-guest-web01.txt.gz"
    file.write_bytes(gzip.compress(text) if packed else text)
    for language in ("en", "zh"):
        done = vnetkb("analyze", "--lang", language, str(file))
        assert (done.returncode, done.stdout) == (3, "")
        assert "the file of a guest's collector" in done.stderr
        assert "--guest NAME=FILE" in done.stderr


def test_packed_text_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "notes.tar.gz"
    file.write_bytes(gzip.compress(b"some notes\n" * 100))
    assert "found no tar archive in it but text, expected a bundle" in vnetkb("show", str(file)).stderr


def test_a_kernel_source_that_is_not_there_is_told_in_plain_words() -> None:
    done = vnetkb("kb", "verify", "--source", "/nowhere/linux-6.1")
    assert (done.returncode, "Errno" in done.stderr, "No such file" in done.stderr) == (3, False, True)
