# SPDX-License-Identifier: Apache-2.0
"""The reference part of the knowledge base as typed values: counters, code sites, captures.

A diagnosis needs little of it, so it is kept apart from `vnetkb.kb.model` and read on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vnetkb.kb.model import BehaviourIs, Condition, Proof


class ByKernel(NamedTuple):
    """A text and the kernel series that it holds for; no series means all that its owner is in."""

    text: str
    kernels: tuple[str, ...] = ()


class Cited(NamedTuple):
    """A statement of the source, and the kernel series that have it so.

    Attributes:
        text: The statement; layout and comments do not matter.
        kernels: The series; none means all that its owner is in.
        nth: Which of several equal statements of the function is meant, from 1; `None` if there is only one.
    """

    text: str
    kernels: tuple[str, ...] = ()
    nth: int | None = None


class ToolName(NamedTuple):
    """What a tool calls a counter.

    Attributes:
        tool: The program or file.
        name: The column, key or field.
        aliases: Other spellings by which people look it up.
        swapped: The tool shows it under the other direction (libvirt shows a tap from the guest's side).
        doc: What is special about it there; may be empty.
    """

    tool: str
    name: str
    aliases: tuple[str, ...]
    swapped: bool
    doc: str


class CountedIn(NamedTuple):
    """Code whose statements can move a counter; verify looks there for what no site claims.

    Attributes:
        files: Paths in the kernel source.
        fields: The names of the structure members that hold the number, `fl->count` where the name alone is
            too common.
        helpers: Functions and macros that count without naming the member.
    """

    files: tuple[str, ...]
    fields: tuple[str, ...]
    helpers: tuple[str, ...]


class SummedIn(NamedTuple):
    """A function that adds the number up for a reader, which is no counting."""

    file: str
    function: str
    doc: str


class Counter(NamedTuple):
    """What a number is, and its name in every tool.

    Attributes:
        id: `<kind>.<kernel field>`.
        title: One line.
        is_loss: Whether it counts losses, not traffic.
        doc: What it means.
        not_meaning: What it does not mean, though people read it so.
        view: Whose direction it is, both ways.
        unit: Its unit.
        width: Its width in bits, by kernel.
        sum_of: What is added up to it, by kernel.
        counted_when: At which moment it is counted.
        lost: Whether one count is one lost packet.
        names: Its name in every tool.
        counted_in: The code that can move it.
        summed_in: The code that adds it up.
        related: Counters to read beside it.
        proof: What this rests on.
    """

    id: str
    title: str
    is_loss: bool
    doc: str
    not_meaning: tuple[str, ...]
    view: str
    unit: str
    width: tuple[ByKernel, ...]
    sum_of: tuple[ByKernel, ...]
    counted_when: str
    lost: str
    names: tuple[ToolName, ...]
    counted_in: tuple[CountedIn, ...]
    summed_in: tuple[SummedIn, ...]
    related: tuple[str, ...]
    proof: Proof

    @property
    def kind(self) -> str:
        """The kind of device or layer that has it."""
        return self.id.partition(".")[0]

    @property
    def field(self) -> str:
        """The kernel's name of it."""
        return self.id.partition(".")[2]


class Move(NamedTuple):
    """How a site moves a counter.

    Attributes:
        counter: The counter.
        statement: The statement that counts, by kernel.
        file: Where it is.
        function: Where it is.
        kernels: The kernel series in which the site moves it.
        shown: Those of them in which the number that users see includes it.
    """

    counter: str
    statement: tuple[Cited, ...]
    file: str
    function: str
    kernels: tuple[str, ...]
    shown: tuple[str, ...]


class Site(NamedTuple):
    """A place in code that moves a counter, or that loses a packet silently.

    Attributes:
        id: `<file stem>.<function>.<slug>`.
        title: One line.
        file: Path in the kernel source.
        function: The function.
        statement: The one statement that decides, by kernel.
        condition: When it decides so, in words.
        moves: The counters that it moves.
        silent_kernels: The series in which no counter of any device, qdisc or datapath moves.
        between: For a silent site, the two points of the path between which the packet vanishes.
        reasons: The drop reason, by kernel.
        kernels: The kernel series that have it.
        since: By series, the first version known to have it, where a stable update brought it.
        behaviours: The behaviours that a host must have, or not have, for this site to matter.
        applies_when: Conditions on facts of the subject; where one does not hold, nothing is lost here.
        visibility: What each tool shows of it.
        trigger: How to make it happen.
        doc: More; may be empty.
        proof: What this rests on.
    """

    id: str
    title: str
    file: str
    function: str
    statement: tuple[Cited, ...]
    condition: str
    moves: tuple[Move, ...]
    silent_kernels: tuple[str, ...]
    between: tuple[str, str] | None
    reasons: tuple[ByKernel, ...]
    kernels: tuple[str, ...]
    since: Mapping[str, str]
    behaviours: tuple[BehaviourIs, ...]
    applies_when: tuple[Condition, ...]
    visibility: Mapping[str, str]
    trigger: str
    doc: str
    proof: Proof

    @property
    def silent(self) -> bool:
        """Whether there is a kernel on which it moves no counter."""
        return bool(self.silent_kernels)


class Capture(NamedTuple):
    """What a collector takes.

    Attributes:
        id: Its name, also that of its file in a bundle.
        collector: The document it is declared in: `host`, `guest-linux`, `guest-windows`.
        when: `snapshot`, `once`, `series` or `asked`.
        argv: The command, empty if files are read.
        reads: The files that are read, empty for a command.
        why: What it is needed for.
        safe: Why taking it disturbs nothing.
        reveals: What it tells about a person or a site; empty for nothing.
        needs: What it needs: `root`, or tools.
        doc: What it holds.
        ask: The collector's option that takes it; `None` for what is taken without asking.
    """

    id: str
    collector: str
    when: str
    argv: tuple[str, ...]
    reads: tuple[str, ...]
    why: str
    safe: str
    reveals: tuple[str, ...]
    needs: tuple[str, ...]
    doc: str
    ask: str | None = None
