# SPDX-License-Identifier: Apache-2.0
"""Reports in Chinese: every text for people is Chinese, all else is as in English."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import catalogue
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb import prose
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import KnowledgeBase
from vnetkb.language import Language, speaking
from vnetkb.report import render_json, render_text
from vnetkb.report.as_html import render_html
from vnetkb.report.as_markdown import render_markdown
from vnetkb.wide import columns

TREE = Path(__file__).resolve().parents[2]
BUNDLES = sorted((TREE / "tests/lab/bundles").glob("*.tar.gz")) + sorted(
    (TREE / "tests/data").rglob("*.tar.gz")
)
CHINESE = re.compile(r"[\u3400-\u9fff]")
# Four plain words in a row are a sentence, unless a command or a tool's own text stands there.
ENGLISH = re.compile(r"\b[a-z]{2,}(?: [a-z]{2,}){3,}\b")
COMMAND = re.compile(
    r"(?:\b(?:ovs|netstat|qemu|cat|echo|ps|ip|tc|virsh|ethtool|sysctl|bridge|bpftool|taskset|sudo|sh|kill|perf|flavor|image|unexpected)\b|`)[^，。；：（）]*"
)
# What has no translation at all yet is told by one test, tests/kb/test_catalogue.py.
UNTRANSLATED = catalogue.untranslated(TREE / "kb/locale/zh_CN", catalogue.collect(TREE))
TEXTS = {
    "harm_reason", "text", "title", "costs", "helps", "check", "undo", "called", "why_unknown", "share_of",
    "proposed", "because",
}  # fmt: skip


@pytest.fixture(scope="module", name="chinese")
def chinese_knowledge() -> KnowledgeBase:
    return load_kb((), Language.CHINESE)


def diagnosed(bundle: Path, kb: KnowledgeBase) -> Diagnosis:
    return diagnose(build(read_bundle(bundle), kb), kb, every=True)


def texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from texts(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each, key)
    elif isinstance(value, str) and key in TEXTS:
        yield key, value


def english(text: str) -> list[str]:
    plain = re.sub(
        r"<(?:style|code|pre|title)[^>]*>.*?</(?:style|code|pre|title)>", " ", text, flags=re.DOTALL
    )
    plain = re.sub(r"```.*?```|<[^>]*>", " ", plain, flags=re.DOTALL)
    found = ENGLISH.findall(COMMAND.sub(" ", " ".join(plain.split())))
    return [each for each in found if not any(each in text for text in UNTRANSLATED)]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name.partition(".tar")[0])
def test_every_text_for_people_is_chinese(bundle: Path, chinese: KnowledgeBase) -> None:
    with speaking(Language.CHINESE):
        found = diagnosed(bundle, chinese)
        report = json.loads(render_json(found))
        pages = [
            render_text(found, every=True),
            render_markdown(found, every=True),
            render_html(found, every=True),
        ]
    wrong = [
        f"{key}: {text}"
        for key, text in texts(report)
        if not CHINESE.search(text) and prose.is_prose(COMMAND.sub(" ", text)) and not UNTRANSLATED
    ]
    wrong += [each for page in pages for each in english(page)]
    assert wrong == []


def test_what_programs_read_is_as_in_english(chinese: KnowledgeBase) -> None:
    bundle = TREE / "tests/lab/bundles/vcpu-starved-6.1.tar.gz"
    english_report = json.loads(render_json(diagnosed(bundle, load_kb())))
    with speaking(Language.CHINESE):
        chinese_report = json.loads(render_json(diagnosed(bundle, chinese)))

    def without_texts(value: object) -> object:
        if isinstance(value, dict):
            return {
                k: without_texts(v)
                for k, v in value.items()
                if k not in {*TEXTS, "persistent", "present", "what", "stands_for"}
            }
        return [without_texts(each) for each in value] if isinstance(value, list) else value

    assert without_texts(chinese_report) == without_texts(english_report)


def test_labels_stand_in_one_column_and_lines_fit(chinese: KnowledgeBase) -> None:
    with speaking(Language.CHINESE):
        report = render_text(diagnosed(TREE / "tests/lab/bundles/vcpu-starved-6.1.tar.gz", chinese))
    lines = report.splitlines()
    labelled = [re.match(r"  ([\u3400-\u9fff]+) +", line) for line in lines]
    assert {columns(found[0]) for found in labelled if found} == {13}
    assert sum(found is not None for found in labelled) > 5
    assert all(columns(line) <= 118 for line in lines[1:])


@pytest.mark.parametrize(
    ("name", "kernel", "expected"),
    [
        ("TX dropped", None, "环形队列"),
        ("rx_nohandler", "5.10", "备用 slave"),
        ("netstat -i TX-DRP", None, "宿主机 TX 就是虚拟机 RX"),
        ("SKB_DROP_REASON_FULL_RING", None, "没有空闲槽位"),
    ],
)
def test_explain_answers_in_chinese(
    chinese: KnowledgeBase, name: str, kernel: str | None, expected: str
) -> None:
    from vnetkb.kb.explain import Explanation, explain, to_text  # noqa: PLC0415

    with speaking(Language.CHINESE):
        found = explain(chinese, name, kernel)
        assert isinstance(found, Explanation)
        answer = to_text(found)
    assert expected in answer
    assert [section.label for section in found.sections if not CHINESE.search(section.label)] == []
    assert english(answer) == []


def test_the_command_that_opens_the_reference_opens_it_in_chinese(chinese: KnowledgeBase) -> None:
    bundle = next(each for each in BUNDLES if each.name.startswith("vm-stopped-guest-6.12"))
    opened = "vnetkb docs tap-ring-reader-stopped"
    address = "reference/rules/tap.html#tap-ring-reader-stopped"
    with speaking(Language.CHINESE):
        found = diagnosed(bundle, chinese)
        assert f"{opened} --lang zh   [{address}]" in render_text(found)
        assert f"`{opened} --lang zh` (`{address}`)" in render_markdown(found)
        assert f"<code>{opened} --lang zh</code>" in render_html(found)
    in_english = diagnosed(bundle, load_kb())
    assert f"{opened}   [{address}]" in render_text(in_english)
    assert f"<code>{opened}</code>" in render_html(in_english)


def test_the_comments_of_commands_are_chinese_and_the_commands_stay(chinese: KnowledgeBase) -> None:
    told = 0
    for name, remedy in load_kb().remedies.items():
        other = chinese.remedies[name]
        pairs = [(remedy.command or "", other.command or "")]
        pairs += [(one.look, two.look) for one, two in zip(remedy.settings, other.settings, strict=True)]
        for ours, theirs in pairs:
            for plain, translated in zip(ours.split("; "), theirs.split("; "), strict=True):
                if plain.startswith("# "):
                    told += 1
                    assert CHINESE.search(translated), name
                    assert plain.partition(": ")[2] == translated.partition(": ")[2]
                else:
                    assert plain.partition(" # ")[0] == translated.partition(" # ")[0]
    assert told > 10
