# SPDX-License-Identifier: Apache-2.0
"""What the sources of the docs say is true: commands have the options shown, no documentation is lacking."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from collectors.fake_host import QUICK, FakeHost, rich_host
from collectors.test_collect_guests import QUEUE, add_libvirt, answers
from collectors.test_guest_scripts import Guest
from vnetkb import cli
from vnetkb.kb.load import load_kb
from vnetkb.parsers import ip_link_text
from vnetkb_docs import complete, helps, search, stubs, words

TREE = Path(__file__).resolve().parents[2]
HAND_WRITTEN = sorted(
    file
    for file in (TREE / "docs").rglob("*.md")
    if not file.relative_to(TREE / "docs").as_posix().startswith(stubs.GENERATED)
)
BLOCKS = re.compile(r"^( *)```(?:sh|console|powershell|bat)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def commands(file: Path) -> list[str]:
    """Return the command lines of a page's blocks of shell, without prompts and redirections."""
    return [
        line.strip().removeprefix("$ ").partition(" > ")[0]
        for _indent, block in BLOCKS.findall(file.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.strip()
    ]


EVERY_COMMAND = sorted({(file.name, line) for file in HAND_WRITTEN for line in commands(file)})


@cache
def help_of(*command: str) -> str:
    done = subprocess.run([*command, "--help"], cwd=TREE, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("page", "line"), EVERY_COMMAND)
def test_a_command_of_the_docs_has_the_options_it_is_shown_with(page: str, line: str) -> None:
    del page
    parts = shlex.split(line)
    options = {part.partition("=")[0] for part in parts if part.startswith("-")}
    match parts:
        case ["vnetkb", "kb", command, *_]:
            known = help_of(sys.executable, "-m", "vnetkb", "kb", command)
        case ["vnetkb", command, *_]:
            known = help_of(sys.executable, "-m", "vnetkb", command)
        case ["sh", "vnetkb-collect", *_]:
            known = help_of("sh", "collectors/host/vnetkb-collect")
        case ["sh", "vnetkb-guest", *_]:
            known = help_of("sh", "collectors/guest-linux/vnetkb-guest")
        case ["powershell", *given]:
            script = (TREE / "collectors/guest-windows/vnetkb-guest.ps1").read_text(encoding="utf-8")
            given = given[given.index("vnetkb-guest.ps1") + 1 :]
            of_script = [part.removeprefix("-") for part in given if part.startswith("-")]
            assert of_script
            assert [option for option in of_script if f"]${option}" not in script] == []
            return
        case ["vnetkb-guest.cmd", *_]:
            script = (TREE / "collectors/guest-windows/vnetkb-guest.cmd").read_text(encoding="utf-8")
            assert [option for option in options if f'"%~1"=="{option}"' not in script] == []
            return
        case ["make", target]:
            assert re.search(rf"^{re.escape(target)}:", (TREE / "Makefile").read_text("utf-8"), re.MULTILINE)
            return
        case [("pip" | "scp" | "apt-get"), *_]:
            return
        case _:
            pytest.fail(f"no test knows the command {parts[0]}")
    assert all(option in known for option in options), sorted(options)


RECORDED = re.compile(r"```\{terminal\} root@\w+\n# sh (vnetkb-\w+) (.*?)\n(.*?)```", re.DOTALL)
RUNS = [
    (file.name, *run) for file in HAND_WRITTEN for run in RECORDED.findall(file.read_text(encoding="utf-8"))
]


def libvirt_with_rings(host: FakeHost) -> None:
    """Let libvirt have a VM whose agent answers, and whose monitor tells of its queues."""
    add_libvirt(host, answers())
    place = host.bin / "virsh"
    cases = []
    for command, text in QUEUE.items():
        (host.root / command).write_text(text + "\n", encoding="ascii")
        said = shlex.quote(str(host.root / command))
        cases.append(f'*qemu-monitor-command*\\"{command}\\"*) exec cat {said} ;;')
    script = place.read_text(encoding="utf-8").replace('case "$*" in', 'case "$*" in\n' + "\n".join(cases), 1)
    place.write_text(script, encoding="utf-8")


@pytest.mark.parametrize(("page", "script", "options", "printed"), RUNS)
def test_a_recorded_run_of_a_collector_is_what_it_prints(
    tmp_path: Path, page: str, script: str, options: str, printed: str
) -> None:
    del page
    given = shlex.split(re.sub(r"--(?:output|interval) \S+", "", options))
    if script == "vnetkb-guest":
        guest = Guest(tmp_path)
        done = guest.run(["sh"], "--interval", "10", "--output", str(guest.out), *given)
        said = done.stderr + done.stdout
    else:
        host = rich_host(tmp_path)
        libvirt_with_rings(host)
        if "--encrypt-to" in given:
            if shutil.which("age-keygen") is None:
                pytest.skip("NOT TESTED: age is not installed (apt install age)")
            key = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
            public = re.search(r"age1\w+", key)
            assert public is not None
            given[given.index("--encrypt-to") + 1] = public[0]
        told = host.run(["sh"], *QUICK, *given)
        assert told.returncode == 0
        said = told.stderr + told.stdout
    assert without_what_differs(printed) == without_what_differs(said)


def test_the_recorded_runs_are_seen() -> None:
    assert {(page, script) for page, script, _options, _printed in RUNS} == {
        ("collect-on-a-host.md", "vnetkb-collect"),
        ("collect-in-a-linux-guest.md", "vnetkb-collect"),
        ("collect-in-a-linux-guest.md", "vnetkb-guest"),
        ("mask-encrypt-send.md", "vnetkb-collect"),
    }


def without_what_differs(run: str) -> list[str]:
    """Return the lines of a run of a collector without its file's folder, name, size and checksum."""
    said = re.sub(r"/\S*/vnetkb-\S+\.(tar\.gz\.age|tar\.gz|map|txt\.gz)", r"FILE.\1", run)
    said = re.sub(r"^size( +)\d+ bytes$", r"size\1N bytes", said, flags=re.MULTILINE)
    return re.sub(r"^sha256( +)[0-9a-f]{64}$", r"sha256\1SUM", said, flags=re.MULTILINE).splitlines()


def test_the_bundles_that_the_docs_show_are_there() -> None:
    shown = re.compile(r"```\{run\} .*?(tests/\S+\.tar\.gz)")
    named = {name for file in HAND_WRITTEN for name in shown.findall(file.read_text(encoding="utf-8"))}
    assert named
    assert [name for name in named if not (TREE / name).is_file()] == []


def test_every_page_written_by_hand_is_in_a_table_of_contents() -> None:
    listed = set()
    for file in HAND_WRITTEN:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL):
            for entry in block.split():
                listed.add((file.parent / f"{entry}.md").resolve())
    unlisted = {file for file in HAND_WRITTEN if file.resolve() not in listed} - {
        TREE / "docs/index.md",
        TREE / "docs/README.md",
    }
    assert not unlisted


def test_our_knowledge_is_completely_documented() -> None:
    assert list(complete.missing(load_kb())) == []


def test_what_lacks_documentation_is_named() -> None:
    kb = load_kb()
    fact = kb.facts["reader.kind"]._replace(doc="", captures=(), values={"qemu": ""})
    rule = kb.rules["tap-ring-full"]._replace(doc="", cases=(), tests=(), applies_when=())
    counter = kb.counters["tap.tx_dropped"]._replace(names=())
    bare = replace(
        kb, facts={fact.name: fact}, rules={rule.id: rule}, counters={counter.id: counter}, remedies={}
    )
    assert set(complete.missing(bare)) == {
        ("counters", "tap.tx_dropped", "names"),
        ("facts", "reader.kind", "doc"),
        ("facts", "reader.kind", "captures"),
        ("facts", "reader.kind", "values.qemu"),
        ("rules", "tap-ring-full", "doc"),
        ("rules", "tap-ring-full", "cases"),
        ("rules", "tap-ring-full", "tests"),
    }


LACKING = """
from dataclasses import replace
from vnetkb_docs import knowledge

whole = knowledge.load_kb
extensions = ["myst_parser", "vnetkb_docs"]

def load_kb(*arguments):
    kb = whole(*arguments)
    for kind, name in OF.items():
        items = getattr(kb, kind)
        kb = replace(kb, **{kind: {**items, name: items[name]._replace(doc="")}})
    return kb

knowledge.load_kb = load_kb
"""


def test_the_build_fails_where_documentation_is_lacking(tmp_path: Path) -> None:
    lacking = {"counters": "tap.tx_dropped", "rules": "tap-ring-full", "facts": "reader.kind"}
    (tmp_path / "index.md").write_text("# Empty\n", encoding="utf-8")
    (tmp_path / "conf.py").write_text(f"OF = {lacking!r}\n{LACKING}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--no-color", "--keep-going", "-b", "dummy", ".", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{TREE / 'docs/_ext'}:{TREE / 'analyzer'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert told == [f"WARNING: {kind} {name}: its documentation lacks: doc" for kind, name in lacking.items()]


def test_a_query_of_the_docs_uses_names_that_are_known() -> None:
    known = {name.name for counter in load_kb().counters.values() for name in counter.names}
    page = (TREE / "docs/how-to/set-an-alarm.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"\bnode_\w+", re.sub(r"`node_exporter`", "", page)))
    assert asked
    assert asked <= known


def test_the_case_of_the_book_is_what_ip_prints() -> None:
    chapter = (TREE / "kb/walkthrough/01-the-case-and-the-path.md").read_text(encoding="utf-8")
    shown = re.search(r"\$ ip -s link show vnet3\n(.*?)```", chapter, re.DOTALL)
    assert shown is not None
    head = "7: vnet3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UNKNOWN qlen 1000\n"
    (link,) = ip_link_text.parse((head + shown[1]).encode())
    assert (link.rx["dropped"], link.tx["dropped"]) == (0, 90211)


def test_no_chinese_word_is_left_over() -> None:
    sources = " ".join(
        file.read_text(encoding="utf-8") for file in sorted((TREE / "docs/_ext/vnetkb_docs").glob("*.py"))
    )
    told = re.sub(r'"\s*\n\s*"', "", sources)
    # Kinds and words of conditions come from data: they are in no call.
    spare = {"counter", "site", "rule", "fact", "remedy", "capture", "behaviour", "drop reason", "tool"}
    spare |= {"cause", "state", "verdict", "public samples and documentation", "Open vSwitch source"}
    unused = [
        word
        for word in words.catalogue()
        if repr(word)[1:-1] not in told and word.replace("\n", "\\n") not in told and word not in spare
    ]
    assert unused == []


def test_every_help_of_the_program_has_its_chinese() -> None:
    english: list[str] = []

    def note(text: str) -> str:
        english.append(text)
        return text

    for owner, name in helps.places(cli.app):
        if isinstance(text := getattr(owner, name), str) and text:
            helps.translated(text, note)
    assert {*english, *helps.PANELS.values(), helps.HELP} == helps.catalogue().keys()


def test_the_commands_in_a_help_stay_as_they_are() -> None:
    help_text = "Say it.\n\n    \b\n    Example:\n        vnetkb docs\n    Anywhere:"
    assert helps.translated(help_text, str.upper) == "SAY IT.\n\n\b\nEXAMPLE:\n    vnetkb docs\nANYWHERE:"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tap.tx_dropped", ["tap", "tx_dropped", "tx", "drop"]),
        ("Drops, dropped, dropping!", ["drop", "drop", "drop"]),
        ("vnet 丢包", ["vnet", "丢包"]),
        ("环形队列满", ["环形", "形队", "队列", "列满"]),
        ("队列已满了", ["队列", "列满"]),
        ("包", ["包"]),
        ("tun_net_xmit()", ["tun_net_xmit", "tun", "net", "xmit"]),
        ("vm-exit", ["vm", "exit"]),
    ],
)
def test_a_text_is_found_by_words_parts_and_pairs(text: str, found: list[str]) -> None:
    assert list(search.terms(text)) == found


def test_a_drawing_stands_for_the_block_that_plain_markdown_shows() -> None:
    text = (
        "a\n<!-- drawing: path, instead of the next block -->\n```\nNIC\n```\nb\n<!-- drawing: ring -->\nc\n"
    )
    assert stubs.with_drawings(text) == "a\n```{kb-drawing} path\n```\nb\n```{kb-drawing} ring\n```\nc\n"
