# SPDX-License-Identifier: Apache-2.0
"""What a line of a knowledge base document says is what it means."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnetkb.kb import strict_yaml
from vnetkb.kb.strict_yaml import YamlError


def test_only_integers_true_false_and_null_are_more_than_text() -> None:
    text = "{a: 5, b: -3, c: true, d: false, e: null, f: 5.10, g: on, h: 010, i: 0x1f, j: 2026-01-01, k: ~}"
    assert strict_yaml.parse(text) == {
        "a": 5,
        "b": -3,
        "c": True,
        "d": False,
        "e": None,
        "f": "5.10",
        "g": "on",
        "h": "010",
        "i": "0x1f",
        "j": "2026-01-01",
        "k": "~",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 50_000 + "a",
        "{a: " * 3000 + "1" + "}" * 3000,
        "\n".join(" " * level + "a:" for level in range(3000)),
    ],
    ids=["open", "items", "flow", "block"],
)
def test_what_is_too_deep_is_refused_before_the_stack_ends(text: str) -> None:
    with pytest.raises(YamlError, match="more than 100 levels deep"):
        strict_yaml.parse(text)


@pytest.mark.parametrize("text", ['a: "5"', "a: '5'", "a: |-\n  5\n", "a: >-\n  5\n"])
def test_what_is_quoted_is_text(text: str) -> None:
    assert strict_yaml.parse(text) == {"a": "5"}


def test_keys_are_text() -> None:
    assert strict_yaml.parse("{5.10: 1, 6: 2, true: 3}") == {"5.10": 1, "6": 2, "true": 3}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' occurs twice"),
        ("a:\n  - b: 1\n    b: 2\n", 3, "'b' occurs twice"),
        ("a: &x [1]\nb: *x\n", 1, "alias"),
        ("a: &x 1\nb: *x\n", 1, "alias"),
        ("a: &x\n  b: *x\n", 1, "alias"),
        ("a: 1\n<<: {b: 2}\n", 2, "merge key"),
        ("a: !!int 3\n", 1, "tag"),
        ("a: !!str 3\n", 1, "tag"),
        ("a: !own {b: 1}\n", 1, "tag"),
        ("a: !own [1]\n", 1, "tag"),
        ("a: 1\nb:\n", 2, "without a value"),
        ("- 1\n-\n", 2, "without a value"),
        ("? [a]\n: 1\n", 1, "key that is not text"),
        ("a: 1\n--- \nb: 2\n", 2, "another document"),
        ("", 1, "empty document"),
        ("# nothing\n", 1, "empty document"),
        ("a: [1\n", 2, "expected"),
    ],
)
def test_what_is_refused_is_told_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(YamlError, match=what) as told:
        strict_yaml.parse(text)
    assert told.value.line == line
    assert str(told.value).startswith(f"line {line}: ")


def test_control_characters_are_refused() -> None:
    with pytest.raises(YamlError, match="control characters"):
        strict_yaml.parse("a: \x01")


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
nested = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=20
)


@given(nested.filter(lambda data: data is not None))
def test_json_reads_as_itself(data: object) -> None:
    """JSON is YAML: the compiled form and the YAML form cannot differ in what a value is."""
    text = json.dumps(data, ensure_ascii=True)
    if '"<<":' in text or "\\ud" in text:
        return
    assert strict_yaml.parse(text) == data
