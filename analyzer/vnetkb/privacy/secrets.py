# SPDX-License-Identifier: Apache-2.0
"""Cuts secrets out of captures, as the collector does: a bundle of an older one may hold some.

Every repetition before a fixed text is bounded, so that a line of any length costs no more than its length.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# in_key, out_key and key are numbers of tunnels; passing through is no password.
_NAME = (
    r"(?:(?i:(?<!by)pass(?!_?-?thr|iv|ed|es)|pwd|secret|token|credent|authoriz|psk)"
    r"|(?<!in_)(?<!out_)(?<=[0-9A-Za-z_.-])(?i:key))"
)
_REST = r"[0-9A-Za-z_.-]{0,64}"
_CUT = r'(?!"?\(cut out\))'
_PAIR = re.compile(
    rf'(\[\s*+"(?:[^"\\]{{0,64}}?{_NAME}[^"\\]{{0,64}}|(?i:auth))"\s*+,\s*+")'
    r'(?!\(cut out\)")(?:[^"\\]|\\.)*+("\s*+\])'
)
_BEARER = re.compile(r'([Bb]earer) ++(?!\(cut out\))[^ "\n]+')
# Who logs in is cut out with the password.
_ADDRESS = re.compile(
    r'([=/])[0-9A-Za-z._%+-]{1,64}+:(?:\(cut out\)|[^@/ ",\n]{1,256}+)@|(//)[0-9A-Za-z._%+-]{1,64}+@'
)
_LOGGED_ADDRESS = re.compile(r"""([ "'])[0-9A-Za-z._%+-]{1,64}+:(?:\(cut out\)|[^@/ ",|\n]{1,256}+)@""")
_SAID = (
    r"(?<![0-9A-Za-z_.-])"
    r"((?i:pass(?:word|wd|phrase|code)|secret|token|credentials?|authorization|api[ _-]?key|pwd|psk)"
)
_LOGGED = re.compile(_SAID + r'"?(?>: ?| +[:=] ?| +(?:is )?))(?!\(cut out\))[^\n]+')
# In a text in quotes, to the end of that.
_NOTED = re.compile(
    _SAID + r'(?:\\")?(?: *: *| +(?:is +)?))(?!(?:is +)?\(cut out\))(?=[^"=: \n])(?:[^"\\\n]|\\.)++'
)
_NETWORK = re.compile(r"^[0-9]+\t-(?:netdev|nic|net|device) .*", re.MULTILINE)
_COMMAND_JSON = re.compile(r'(-cmd:)(?!\(cut out\))(?:[^"\\]|\\.)*')
_COMMAND = re.compile(r"(-cmd:)(?!\(cut out\))(?:[^,]|,,)*")


def _named(between: str, each: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds a name with its value in quotes, and one without, of characters `each`."""
    head = rf"({_NAME}{_REST}{between})"
    return re.compile(rf'{head}{_CUT}"(?:[^"\\\n]|\\.)*+"'), re.compile(rf"{head}{_CUT}(?:{each})+")


_TABLE = _named(r'"?[ \t]*+[=:][ \t]*+', r'[^,})"\\\n]|\\.')
_ARGUMENT = _named(r'"?[ \t]*+[=:][ \t]*+', r'[^,"\\\n]|,,|\\.')
_LOG = _named(r'"?=', r'[^ "\n]')


def _cut(text: str, named: tuple[re.Pattern[str], re.Pattern[str]]) -> str:
    text = _PAIR.sub(r"\1(cut out)\2", text)
    text = named[0].sub(r'\1"(cut out)"', text)
    text = named[1].sub(r"\1(cut out)", text)
    return _ADDRESS.sub(r"\1\2(cut out)@", _BEARER.sub(r"\1 (cut out)", text))


def _arguments(text: str) -> str:
    return _cut(_NETWORK.sub(_command, text), _ARGUMENT)


def _command(found: re.Match[str]) -> str:
    return (_COMMAND_JSON if " {" in found[0] else _COMMAND).sub(r"\1(cut out)", found[0])


def _log(text: str) -> str:
    text = _LOGGED.sub(r"\1(cut out)", text)
    return _cut(_LOGGED_ADDRESS.sub(r"\1(cut out)@", text), _LOG)


def _noted(text: str) -> str:
    text = _NOTED.sub(r"\1(cut out)", text)
    return _table(_LOGGED_ADDRESS.sub(r"\1(cut out)@", text))


_table = partial(_cut, named=_TABLE)
_TABLES = ("open-vswitch", "bridge", "port", "interface", "sflow", "netflow", "ipfix", "mirror", "qos")
_HOW: dict[str, Callable[[str], str]] = {
    **{f"ovs-{name}": _noted for name in (*_TABLES, "queue", "sample-collectors", "show")},
    "ovs-dpif": _table,
    "proc-cmdline": _arguments,
    "kernel-log": _log,
    "ovs-log": _log,
}


def cut_secrets(identity: str, text: str) -> str:
    """Return a capture with the values of everything that is called like a secret cut out.

    Args:
        identity: Its id: Open vSwitch's tables, QEMU's arguments and logs are cut, all else stays.
        text: What it holds.
    """
    how = _HOW.get(identity)
    return text if how is None else how(text)
