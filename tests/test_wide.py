# SPDX-License-Identifier: Apache-2.0
"""Columns, where a Chinese character takes two."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnetkb import wide

MIXED = st.text(alphabet="ab虚拟机丢包 ，。（）x1é\n", max_size=200)
PLAIN = st.text(alphabet="ab cdé→·-\n", max_size=200) | st.text(alphabet="ab cdé→·-", max_size=200)


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("tap", 3), ("丢包", 4), ("e\u0301", 1), ("（）", 4)]
)
def test_columns(text: str, expected: int) -> None:
    assert wide.columns(text) == expected


def test_columns_align() -> None:
    assert wide.columns(wide.ljust("证据", 12)) == wide.columns(wide.ljust("evidence", 12)) == 12


@given(PLAIN, st.integers(20, 40))
def test_without_wide_characters_it_wraps_as_the_standard_library(text: str, width: int) -> None:
    expected = textwrap.wrap(
        text,
        width,
        initial_indent="> ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    assert wide.wrap(text, width, first="> ", rest="  ") == expected


@given(MIXED, st.integers(8, 40))
def test_nothing_is_lost_and_only_long_words_exceed_the_width(text: str, width: int) -> None:
    lines = wide.wrap(text, width, rest="  ")
    assert "".join("".join(line.split()) for line in lines) == "".join(text.split())
    for line in lines:
        # A word with the punctuation that sticks to it stays whole.
        assert wide.columns(line) <= width or not any(letter in line.strip() for letter in " ")


def test_no_line_begins_with_closing_or_ends_with_opening_punctuation() -> None:
    text = "虚拟机丢包（宿主机 TX），环形队列已满。" * 5
    for width in range(10, 40):
        for line in wide.wrap(text, width):
            assert line[0] not in "，。）"
            assert line[-1] != "（"
