# SPDX-License-Identifier: Apache-2.0
"""The guest agent's reply to guest-info: its version, and which commands it has and allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.parsers.agent_reply import parse as parse_reply
from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.json_text import optional_text, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """The agent.

    Attributes:
        version: Its version; None where it does not tell.
        commands: Command to whether it is allowed; one that is not named does not exist.
    """

    version: str | None
    commands: Mapping[str, bool]


def parse(data: bytes) -> AgentInfo:
    """Return what the agent says of itself.

    Raises:
        ParseError: It is no such reply.
    """
    answer = parse_reply(data).get("return")
    if not isinstance(answer, dict) or not isinstance(answer.get("supported_commands"), list):
        raise ParseError(answer, "an object with supported_commands")
    commands: dict[str, bool] = {}
    for row in answer["supported_commands"]:
        if not isinstance(row, dict):
            raise ParseError(row, "an object for each command")
        commands[text_of(row, "name", "a command")] = row.get("enabled") is True
    return AgentInfo(optional_text(answer, "version", "the agent"), commands)
