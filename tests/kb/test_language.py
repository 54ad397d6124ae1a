# SPDX-License-Identifier: Apache-2.0
"""What people read is translated; ids, code and what programs compare is not."""

import subprocess
import sys
from pathlib import Path

import pytest

import catalogue
from vnetkb.kb import load, prose
from vnetkb.language import Catalogue, Language, speaking, spoken, tr, tr_count

SMALL = Path(__file__).parent / "small"
HEADER = """\
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

"""
RULE = """\
msgid "The reader of {tap} stands still"
msgstr "{tap} 的读取者停住了"
"""
PROGRAM = """\
msgid "{count} taps"
msgstr "{count} 个 tap"

msgctxt "unit"
msgid "packets"
msgstr "个报文"

#, fuzzy
msgid "doubtful"
msgstr "存疑"
"""


@pytest.fixture(name="overlay")
def overlay_with_chinese(tmp_path: Path) -> Path:
    folder = tmp_path / "locale" / "zh_CN"
    folder.mkdir(parents=True)
    (folder / "program.po").write_text(HEADER + PROGRAM, encoding="utf-8")
    (folder / "rules.po").write_text(HEADER + RULE, encoding="utf-8")
    return tmp_path


def test_english_needs_no_catalogue() -> None:
    code = (
        "import sys; from vnetkb.language import tr; tr('a'); print({'gettext', 'polib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_text_is_said_in_the_language_that_is_spoken(overlay: Path) -> None:
    assert tr_count("{count} tap", "{count} taps", 1) == "1 tap"
    assert tr_count("{count} tap", "{count} taps", 2) == "2 taps"
    with speaking(Language.CHINESE, [overlay]):
        assert spoken() is Language.CHINESE
        assert tr_count("{count} tap", "{count} taps", 1) == "1 个 tap"
    assert spoken() is Language.ENGLISH


def test_what_has_no_translation_or_a_doubtful_one_is_english(overlay: Path) -> None:
    with speaking(Language.CHINESE, [overlay]):
        assert tr("never translated {x}", x=1) == "never translated 1"
        assert tr("doubtful") == "doubtful"


def test_layout_within_a_paragraph_does_not_matter(overlay: Path) -> None:
    words = Catalogue(Language.CHINESE, [overlay / "locale" / "zh_CN"])
    assert words.text("The reader of {tap}\n  stands still\n", "rules") == "{tap} 的读取者停住了"


def test_only_text_for_people_is_translated() -> None:
    for document in load.read_folder(SMALL):
        before = load.load_documents(list(load.read_folder(SMALL)))
        assert before.rules
        upper = prose.translated(document.kind, document.data, lambda text: f"«{text}»")
        again = prose.translated(document.kind, upper, lambda text: text.strip("«»"))
        assert again == document.data


def test_a_translated_knowledge_base_judges_alike() -> None:
    documents = list(load.read_folder(SMALL))
    marked = [
        load.Document(each.path, prose.translated(each.kind, each.data, lambda text: f"译 {text}"))
        for each in documents
    ]
    plain, chinese = load.load_documents(documents), load.load_documents(marked)
    assert plain.rules.keys() == chinese.rules.keys()
    for name, rule in plain.rules.items():
        other = chinese.rules[name]
        assert other.title == f"译 {rule.title}"
        assert [test.condition for test in other.tests] == [test.condition for test in rule.tests]
        assert (other.sites, other.explains, other.remedies) == (rule.sites, rule.explains, rule.remedies)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing", "prose"),
        ("reason NO_TX_TARGET", "prose"),
        ("rc=1", "code"),
        ("SKB_DROP_REASON_FULL_RING", "code"),
        ("tun_net_xmit()", "code"),
        ("{tap} {value}", "code"),
        ("--trace 10", "code"),
    ],
)
def test_names_and_code_need_no_translation(text: str, expected: str) -> None:
    assert ("prose" if prose.is_prose(text) else "code") == expected


def test_the_tool_keeps_what_is_translated_and_drops_what_is_stale(tmp_path: Path) -> None:
    key = catalogue.Key
    first = {
        key("rules", None, "The ring of {tap} is full"): ["a"],
        key("rules", None, "Nothing else"): ["a"],
    }
    catalogue.update(tmp_path, first)
    file = tmp_path / "rules.po"
    file.write_text(
        file.read_text(encoding="utf-8").replace(
            'The ring of {tap} is full"\nmsgstr ""', 'The ring of {tap} is full"\nmsgstr "{tap} 的环满了"'
        ),
        encoding="utf-8",
    )
    assert [fault.split(":")[1] for fault in catalogue.faults(tmp_path, first)] == [
        " no translation of 'Nothing else' (a)"
    ]
    second = {key("rules", None, "The ring of {tap} is quite full"): ["a"]}
    catalogue.update(tmp_path, second)
    assert "Nothing else" not in file.read_text(encoding="utf-8")
    (fault,) = catalogue.faults(tmp_path, second)
    assert "fuzzy" in fault


def test_the_tool_finds_other_placeholders(tmp_path: Path) -> None:
    wanted = {catalogue.Key("rules", None, "The reader of {vm} stands still"): ["a"]}
    (tmp_path / "rules.po").write_text(
        RULE.replace('msgid "The reader of {tap}', 'msgid "The reader of {vm}')
    )
    (fault,) = catalogue.faults(tmp_path, wanted)
    assert "other placeholders" in fault
