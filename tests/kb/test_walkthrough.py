# SPDX-License-Identifier: Apache-2.0
"""The walk-through's references resolve; a wrong one is told with its file and line."""

from pathlib import Path

import pytest

from vnetkb.kb import csource, load, walkthrough
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.walkthrough import CodeReference, FaultCode, Where

RING_FULL = "tun.tun_net_xmit.ring_full"


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load.load_kb()


@pytest.fixture(scope="module")
def chapters(tree: Path) -> dict[str, str]:
    return walkthrough.read_chapters(tree / "kb")


def faults(text: str, kb: KnowledgeBase) -> list[tuple[FaultCode, int]]:
    return [(fault.code, fault.where.line) for fault in walkthrough.check({"01-a.md": text}, kb)]


def test_the_chapters_are_numbered_without_a_gap(chapters: dict[str, str]) -> None:
    numbers = [name.split("-")[0] for name in chapters]
    assert numbers == [f"{number:02}" for number in range(1, len(chapters) + 1)]
    assert len(chapters) >= 10


def test_every_reference_of_the_chapters_resolves(chapters: dict[str, str], kb: KnowledgeBase) -> None:
    assert [str(fault) for fault in walkthrough.check(chapters, kb)] == []


def test_every_chapter_refers_to_code(chapters: dict[str, str]) -> None:
    without = [
        name
        for name, text in chapters.items()
        if not {each.role for each in walkthrough.extract(name, text)} & {"code", "site"}
    ]
    assert without == []


def test_every_site_of_the_tap_driver_is_in_the_walk(chapters: dict[str, str], kb: KnowledgeBase) -> None:
    told = {each.target for name, text in chapters.items() for each in walkthrough.extract(name, text)}
    drops = {
        site.id
        for site in kb.sites.values()
        if site.file == "drivers/net/tun.c" and site.function == "tun_net_xmit"
    }
    assert drops
    assert drops <= told


def test_the_references_to_code_come_with_their_kernels(tree: Path) -> None:
    found = walkthrough.references(tree / "kb")
    assert len(found) > 100
    assert ("kernel/vhost_task.c", "vhost_task_fn", ("6.12", "7.2")) in {
        (code.file, code.function, code.kernels) for code in found
    }


def test_a_folder_without_chapters_has_no_references(tmp_path: Path) -> None:
    assert walkthrough.references(tmp_path) == ()


def test_a_reference_has_its_role_target_and_line() -> None:
    text = f"# A\n\nSee {{site}}`{RING_FULL}` and {{code}}`net/core/dev.c:xmit_one`.\n"
    found = walkthrough.extract("03-x.md", text)
    assert [(each.role, each.target, str(each.where)) for each in found] == [
        ("site", RING_FULL, "walkthrough/03-x.md:3"),
        ("code", "net/core/dev.c:xmit_one", "walkthrough/03-x.md:3"),
    ]


def test_a_fenced_block_has_no_references() -> None:
    text = "```\n{site}`not.a.site`\n```\n\n~~~~\n```\n{rule}`nor-this`\n~~~~\n{rule}`but-this`\n"
    assert [each.target for each in walkthrough.extract("01-a.md", text)] == ["but-this"]


def test_an_unknown_id_is_told_with_its_file_and_line(kb: KnowledgeBase) -> None:
    text = f"{{site}}`{RING_FULL}`\nand {{site}}`tun.tun_net_xmit.ring_ful`\n"
    [fault] = walkthrough.check({"03-x.md": text}, kb)
    assert str(fault) == (
        "walkthrough/03-x.md:2: the knowledge base has no site `tun.tun_net_xmit.ring_ful` [unknown-id]"
    )


@pytest.mark.parametrize("role", ["site", "counter", "rule", "behaviour", "remedy", "fact"])
def test_each_kind_is_looked_up_in_its_own_items(role: str, kb: KnowledgeBase) -> None:
    items = {
        "site": RING_FULL,
        "counter": "tap.tx_dropped",
        "rule": "tap-ring-full",
        "behaviour": "drop-reasons",
        "remedy": "raise-txqueuelen",
        "fact": "tap.tx_queue_len",
    }
    assert faults(f"{{{role}}}`{items.pop(role)}`", kb) == []
    for other in items.values():
        assert faults(f"{{{role}}}`{other}`", kb) == [(FaultCode.UNKNOWN_ID, 1)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{sites}`tap-ring-full`", FaultCode.UNKNOWN_ROLE),
        ("{rule}`tap-ring-\nfull`", FaultCode.MALFORMED),
        ("{code}`tun_net_xmit`", FaultCode.MALFORMED),
        ("{code}`drivers/net/tun.c`", FaultCode.MALFORMED),
        ("{code}`drivers/net/tun.c:tun_net_xmit 6.1`", FaultCode.MALFORMED),
        ("{code}`drivers/net/tun.c:tun_net_xmit [6.11]`", FaultCode.UNKNOWN_KERNEL),
        ("nothing() counts", FaultCode.NO_REFERENCE),
        ("```\nfenced()\n```", FaultCode.NO_REFERENCE),
        ("[on](02-b.md)", FaultCode.LINK),
    ],
)
def test_what_is_wrong_is_told(text: str, code: FaultCode, kb: KnowledgeBase) -> None:
    assert [found for found, _ in faults(text, kb)] == [code]


def test_a_function_may_be_named_where_its_chapter_refers_to_it(kb: KnowledgeBase) -> None:
    text = f"tun_net_xmit() drops: {{site}}`{RING_FULL}`.\n\n`xmit_one()`: {{code}}`net/core/dev.c:xmit_one`."
    assert faults(text, kb) == []


def test_a_link_to_another_chapter_or_a_web_page_is_fine(kb: KnowledgeBase) -> None:
    text = "[on](02-b.md#part), [out](https://example.org/a.md)"
    assert walkthrough.check({"01-a.md": text, "02-b.md": ""}, kb) == ()


def code(function: str, *kernels: str, file: str = "net/a.c") -> CodeReference:
    return CodeReference(file, function, kernels, Where("01-a.md", 7))


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        (code("there"), None),
        (code("there", "6.1", "6.12"), None),
        (code("gone", "6.12"), None),
        (code("gone"), (True, False)),
        (code("gone", "6.1"), (True, False)),
        (code("there", "6.12"), (True, True)),
        (code("there", file="net/b.c"), (False, False)),
        (code("there", "6.12", file="net/b.c"), None),
    ],
)
def test_a_reference_is_held_against_a_source(
    reference: CodeReference, fault: tuple[bool, bool] | None
) -> None:
    functions = {"net/a.c": csource.functions(b"static int there(int a)\n{\n\treturn a;\n}\n")}
    found = walkthrough.check_source([reference], functions, "6.1")
    assert [(each.has_file, each.has_function) for each in found] == ([] if fault is None else [fault])
    assert all(each.reference is reference for each in found)
