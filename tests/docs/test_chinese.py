# SPDX-License-Identifier: Apache-2.0
"""The Chinese build tells everything in Chinese: no page has prose that was left in English."""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from vnetkb.kb.load import load_kb

HAN = re.compile(r"[\u3400-\u9fff]")
WORD = re.compile(r"(?<![\w./:=<{%$-])[A-Za-z]?[a-z]+(?![\w/:=_({}%-]|\.\w)")
UNSEEN = re.compile(r"<(head|script|style|title|pre)\b.*?</\1>|<!--.*?-->", re.DOTALL)
CODE = re.compile(r"<(code|kbd|samp)\b.*?</\1>", re.DOTALL)
WITHIN = re.compile(r"</?(?:span|a|em|strong|b|i|small|sup|sub|abbr|mark|cite)\b[^>]*>")
TAG = re.compile(r"<[^>]*>")
SHORT = 3
"""So many English words in a text without a Chinese character are prose that was left."""
LONG = re.compile(r"(?:\b[A-Za-z]?[a-z]+[,;:]? ){6,}[a-z]+")
"""So many in a row are one, whatever stands around them."""

# What is not prose although it is words: each with the reason why it stays as it is.
TOOLS = {name.tool for counter in load_kb().counters.values() for name in counter.names}
NAMES = {name.name for counter in load_kb().counters.values() for name in counter.names}
ALIASES = {
    alias for counter in load_kb().counters.values() for name in counter.names for alias in name.aliases
}
PRINTED = sorted(TOOLS | NAMES | ALIASES, key=len, reverse=True)
"""Tools, and fields as they print them: one looks them up as they stand on the screen."""
COMMANDS = re.compile(r"(?:ip|tc|nft|bridge) -?[a-z]|udev: |openstack: |nstat, netstat -s: ")
"""A line of commands or of a configuration, where a remedy or a site gives one without more words."""

UDEV = re.compile(r'RUN\+="[^"]*"')
"""The command in a udev rule, which may stand within a sentence."""


def english(page: str) -> Iterator[str]:
    """Yield the texts of a page's blocks that are English prose; code and what programs print are none."""
    seen = WITHIN.sub("", CODE.sub(" ` ", UNSEEN.sub("\n", page)))
    for block in TAG.sub("\f", seen).split("\f"):
        text = " ".join(html.unescape(block).split())
        if LONG.search(text) or (not HAN.search(text) and len(WORD.findall(text)) >= SHORT):
            yield text


def is_printed(text: str) -> bool:
    """Tell whether a text is only what a tool is called or prints, or a command."""
    if COMMANDS.match(text):
        return True
    text = UDEV.sub("", text)
    for name in PRINTED:
        text = text.replace(name, "")
    return not LONG.search(text) and (bool(HAN.search(text)) or len(WORD.findall(text)) < SHORT)


@pytest.mark.docs
def test_no_page_has_prose_that_was_left_in_english(built: Path) -> None:
    left: dict[str, list[str]] = defaultdict(list)
    pages = sorted((built / "zh_CN").rglob("*.html"))
    assert len(pages) > 100
    for page in pages:
        for text in english(page.read_text(encoding="utf-8")):
            if not is_printed(text):
                left[text].append(page.relative_to(built).as_posix())
    assert left == {}


@pytest.mark.docs
def test_the_help_of_the_commands_is_chinese_and_whole(built: Path) -> None:
    page = (built / "zh_CN/reference/cli.html").read_text(encoding="utf-8")
    shown = "".join(html.unescape(TAG.sub("", page)).split())
    assert shown.count("显示此说明并结束。") > 10
    assert "Showthismessage" not in shown
    assert "…" not in "".join(re.findall(r"<pre>.*?</pre>", page, re.DOTALL))
    assert "只看此设备，也包括它过去的丢包。可重复。" in shown.replace("│", "")


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("<p>What the <em>later</em> bundle has.</p>", ["What the later bundle has."]),
        ("<td>\u5728\u5185\u6838\u4e2d <code>The name of it</code></td><td>tap.tx_dropped</td>", []),
        ("<pre>the words that a program prints</pre><p>Kernel series.</p>", []),
        (
            "<li>\u6ce8\u610f what was said there has never been told in it</li>",
            ["\u6ce8\u610f what was said there has never been told in it"],
        ),
    ],
)
def test_prose_that_was_left_is_seen(page: str, left: list[str]) -> None:
    assert list(english(page)) == left


def test_a_name_that_a_tool_prints_is_no_prose() -> None:
    assert is_printed("packets pruned from receive queue because of socket buffer overrun, [1]")
    assert is_printed("ip link set dev {tap} nomaster")
    rule = 'ACTION=="add", SUBSYSTEM=="net", RUN+="/sbin/ethtool -K $name tx off tso off gso off"'
    assert is_printed(f"虚拟机内的 udev 规则：{rule}。")
    assert not is_printed("What the later bundle has of it.")
