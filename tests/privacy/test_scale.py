# SPDX-License-Identifier: Apache-2.0
"""Masking costs what the text is long, whatever number of names it knows: work is counted, not timed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from vnetkb.privacy.captures import Context
from vnetkb.privacy.find import Finder
from vnetkb.privacy.pseudonyms import Pseudonyms
from vnetkb.privacy.redact import load_kept
from vnetkb.privacy.scan import scan
from vnetkb.privacy.text import Masker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TEXT = "of which 5 packets were dropped, 52:54:4d:00:00:01\n" * 3


def steps(work: Callable[[], object]) -> int:
    """Return how many lines of Python and calls a piece of work takes."""
    count = 0

    def step(_frame: FrameType, _event: str, _of: Any) -> Callable[..., Any]:  # noqa: ANN401  # as sys demands
        nonlocal count
        count += 1
        return step

    def call(_frame: FrameType, _event: str, _of: object) -> None:
        nonlocal count
        count += 1

    before, profile = sys.gettrace(), sys.getprofile()
    sys.settrace(step)
    sys.setprofile(call)
    try:
        work()
    finally:
        sys.settrace(before)
        sys.setprofile(profile)
    return count


def knowing(names: int, form: str) -> Pseudonyms:
    """Return a map of so many machines."""
    pseudonyms = Pseudonyms(load_kept())
    for number in range(names):
        pseudonyms.name("vm", form.format(number))
    return pseudonyms


@pytest.mark.parametrize("form", ["wonka{:05}-prod", 'wo nka "{:05}"'])
def test_a_further_capture_costs_the_same_whatever_is_known(form: str) -> None:
    def further(names: int) -> int:
        pseudonyms = knowing(names, form)
        pseudonyms.mac("525400aabb01")
        scan({"x": TEXT}, pseudonyms, "")  # what is loaded at the first use
        few, many = ({f"host/{number}/x": TEXT for number in range(count)} for count in (2, 12))
        return steps(lambda: scan(many, pseudonyms, "")) - steps(lambda: scan(few, pseudonyms, ""))

    assert further(200) == further(20)


@pytest.mark.parametrize("form", ["wonka{:05}-prod", 'wo nka "{:05}"'])
def test_a_line_costs_the_same_whatever_is_known(form: str) -> None:
    def line(names: int) -> int:
        masker = Masker(knowing(names, form))
        masker.text(TEXT)
        return steps(lambda: masker.text(TEXT))

    assert line(200) == line(20)


def test_a_machine_of_a_cgroup_costs_the_same_whatever_is_known() -> None:
    def machine(names: int) -> int:
        context = Context(Masker(knowing(names, "wonka_{:05}")))
        context.machine("wonka00000")
        return steps(lambda: context.machine("wonka00007"))

    assert machine(200) == machine(20)
    context = Context(Masker(knowing(20, "wonka_{:05}")))
    assert context.machine("wonka00007") == context.name("vm", "wonka_00007")


def test_forms_are_found_wherever_they_stand() -> None:
    finder = Finder(["abc", "abcdef", "bcd", "x y z", "ab"])

    assert finder.present("0abcdefx y z") == {"abc", "abcdef", "bcd", "x y z"}
    assert finder.present("ab bc xyz") == set()
    assert finder.present("") == set()


def test_what_is_left_is_still_found_in_a_later_capture() -> None:
    pseudonyms = knowing(3, 'wo nka "{:05}"')
    pseudonyms.name("vm", "wonka-7b")
    clean = {f"host/{number}/x": TEXT for number in range(3)}

    leaks = scan(clean | {"host/3/x": 'a\nWO NKA "00002"\n', "host/4/x": "b\nxwonka-7bx\n"}, pseudonyms, "")

    assert {(leak.member, leak.line) for leak in leaks if "vm" in leak.what} == {
        ("host/3/x", 2),
        ("host/4/x", 2),
    }
