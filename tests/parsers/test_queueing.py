# SPDX-License-Identifier: Apache-2.0
"""Qdiscs, classes and filters of tc."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from vnetkb.parsers import tc_class, tc_filter, tc_qdisc, tc_qdisc_text
from vnetkb.parsers.errors import ParseError

Captured = Callable[[str], bytes]


def test_qdiscs_from_json(captured: Captured) -> None:
    rows = {row.dev: row for row in tc_qdisc.parse(captured("linux-6.1/tc-qdisc")) if row.root}
    assert (rows["vnet0"].kind, rows["vnet0"].packets, rows["vnet0"].drops) == ("fq_codel", 374, 0)
    assert rows["vnet0"].options["limit"] == 10240
    ingress = next(row for row in tc_qdisc.parse(captured("linux-6.1/tc-qdisc")) if row.kind == "ingress")
    assert (ingress.dev, ingress.parent, ingress.root) == ("vnet1", "ffff:fff1", False)


def test_text_and_json_of_tc_give_the_same_rows(captured: Captured) -> None:
    json_rows = tc_qdisc.parse(captured("linux-6.18/tc-qdisc"))
    text_rows = tc_qdisc_text.parse(captured("linux-6.18/tc-qdisc-text"))
    assert [replace(row, options={}) for row in json_rows] == [
        replace(row, options_text="") for row in text_rows
    ]
    assert text_rows[2].options_text == "limit 50p"


def test_several_json_arrays_of_a_batch_are_one_list() -> None:
    one = b'[{"dev":"a","kind":"noqueue"}]\n'
    assert [row.dev for row in tc_qdisc.parse(one + b"\n[]" + one)] == ["a", "a"]


def test_the_broken_json_of_old_iproute2_is_refused() -> None:
    with pytest.raises(ParseError, match="JSON"):
        tc_qdisc.parse(b'[{"kind":"cake","dev":"a","options": limit 10p}]')


def test_large_backlogs_are_rounded_by_tc() -> None:
    text = (
        b"qdisc pfifo 1: dev a root limit 9p\n Sent 1 bytes 1 pkt (dropped 2, overlimits 3 requeues 4)\n"
        b" backlog 12Kb 20p requeues 4\n"
    )
    (row,) = tc_qdisc_text.parse(text)
    assert (row.backlog, row.qlen, row.drops, row.overlimits, row.requeues) == (12288, 20, 2, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        b" Sent 1 bytes\n",
        b"class htb 1:1 root\n",
        b"qdisc pfifo 1: on a\n",
        b"qdisc pfifo 1: dev a root\n Sent many bytes\n",
        b"qdisc pfifo 1: dev a root\n backlog x\n",
        b"qdisc pfifo 1: dev a root\n backlog 1.1.1b 1p requeues 0\n",
    ],
)
def test_text_of_another_layout_is_refused(text: bytes) -> None:
    with pytest.raises(ParseError):
        tc_qdisc_text.parse(text)


def test_classes_belong_to_the_device_of_their_block(captured: Captured) -> None:
    (row,) = tc_class.parse(captured("linux-6.1/tc-class"))
    assert (row.dev, row.kind, row.classid, row.packets) == ("vnet1", "htb", "1:1", 7)
    assert "rate 8Mbit" in row.options_text
    with pytest.raises(ParseError):
        tc_class.parse(b"class htb 1:1 root prio 0\n")


def test_filters_belong_to_a_device_and_a_side_and_have_actions(captured: Captured) -> None:
    rows = [row for row in tc_filter.parse(captured("linux-6.1/tc-filter")) if row.actions]
    assert [(row.dev, row.side, row.kind, row.pref) for row in rows] == [
        ("vnet1", "ingress", "matchall", "9"),
        ("vnet1", "ingress", "u32", "49152"),
    ]
    redirect, police = rows[0].actions[0], rows[1].actions[0]
    assert (redirect.kind, redirect.packets, redirect.drops) == ("mirred", 188, 0)
    assert "Egress Redirect to device br0" in redirect.text
    assert (police.kind, police.packets, police.drops, police.requeues) == ("police", 1, 0, None)
    assert "rate 8Kbit" in police.text


@pytest.mark.parametrize(
    "text", [b"filter protocol all\n", b"@ a\nfilter protocol all\n", b"@ a root\nqdisc x\n"]
)
def test_filters_without_a_place_are_refused(text: bytes) -> None:
    with pytest.raises(ParseError):
        tc_filter.parse(text)
