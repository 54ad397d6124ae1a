# SPDX-License-Identifier: Apache-2.0
"""A small, strict reading of YAML: what a line says is what it means.

Only `true`, `false`, `null` and decimal integers are read as anything but text: `5.10` stays `5.10`, `on`
stays `on`, a date stays text. Duplicate keys, tags, aliases, merge keys, several documents in a file,
empty values and deep nesting are refused. Nodes are composed by libyaml where PyYAML has it, and converted
here rather than by PyYAML's constructors, which take longer and would have to be undone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

Data: TypeAlias = bool | int | str | list[Any] | dict[str, Any] | None
"""What a YAML document holds; it is also what JSON can hold, so both forms of the KB are equal."""

MOST_DEEP = 100
"""Levels of lists and mappings within each other: the composer calls itself for each, on the C stack."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class YamlError(ValueError):
    """A document that is not the strict YAML described above; the text says where and why."""

    def __init__(self, line: int | None, text: str) -> None:
        """Keep the line (1 for the first, `None` if not known) and what is wrong there."""
        super().__init__(text if line is None else f"line {line}: {text}")
        self.line = line


class _Resolver:
    """Says of each node only whether it was written plain; the meaning is given in `_scalar`."""

    _depth = 0

    def resolve(self, kind: type[yaml.Node], _value: object, implicit: object) -> str:
        if kind is yaml.ScalarNode:
            plain = implicit[0] if isinstance(implicit, tuple) else bool(implicit)
            return "plain" if plain else "quoted"
        return "collection"

    def descend_resolver(self, *_: object) -> None:
        """Count the levels: the composer says here that it goes into a node."""
        self._depth += 1
        if self._depth > MOST_DEEP:
            raise YamlError(None, f"lists and mappings more than {MOST_DEEP} levels deep")

    def ascend_resolver(self) -> None:
        """Count the level that the composer leaves."""
        self._depth -= 1


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _Composer(CParser, _Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)

else:
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer, _Resolver):  # type: ignore[no-redef]
        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


def parse(text: str) -> Data:
    """Return the data of one YAML document.

    Raises:
        YamlError: It is not YAML, or uses what is refused here.
    """
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as fault:
        line = None if fault.problem_mark is None else fault.problem_mark.line + 1
        raise YamlError(line, fault.problem or "not YAML") from fault
    except yaml.YAMLError as fault:
        raise YamlError(None, str(fault).replace("\n", " ")) from fault
    if node is None:
        raise YamlError(1, "empty document")
    return _convert(node, set())


def _convert(node: yaml.Node, seen: set[int]) -> Data:
    if id(node) in seen:
        raise YamlError(node.start_mark.line + 1, "alias, write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        if node.tag not in {"collection", "tag:yaml.org,2002:map"}:
            raise YamlError(node.start_mark.line + 1, f"tag {node.tag}")
        return _mapping(node, seen)
    if isinstance(node, yaml.SequenceNode):
        if node.tag not in {"collection", "tag:yaml.org,2002:seq"}:
            raise YamlError(node.start_mark.line + 1, f"tag {node.tag}")
        return [_convert(item, seen) for item in node.value]
    return _scalar(node.tag, node.value, node.start_mark.line + 1)


def _mapping(node: yaml.MappingNode, seen: set[int]) -> dict[str, Data]:
    data: dict[str, Data] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlError(key_node.start_mark.line + 1, "a key that is not text")
        key = key_node.value
        if key == "<<":
            raise YamlError(key_node.start_mark.line + 1, "merge key, write the values out")
        if key in data:
            raise YamlError(key_node.start_mark.line + 1, f"key {key!r} occurs twice")
        data[key] = _convert(value_node, seen)
    return data


def _scalar(style: str, value: str, line: int) -> Data:
    if style == "quoted":
        return value
    if style != "plain":
        raise YamlError(line, f"tag {style}")
    if value in _WORDS:
        return _WORDS[value]
    if _INTEGER.fullmatch(value):
        return int(value)
    if not value:
        raise YamlError(line, 'a key or item without a value, write null or ""')
    return value
