# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch 2.5 to 4.x: all views of a port tell the same, and a changed layout gives no wrong number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vnetkb.parsers import (
    ovs_coverage,
    ovs_datapath,
    ovs_datapath_flows,
    ovs_dump_flows,
    ovs_dump_ports,
    ovs_interface,
    ovs_meter_stats,
    ovs_mirror,
    ovs_upcall,
    ovs_version,
)
from vnetkb.parsers.errors import ParseError

FIXTURES = Path(__file__).parent / "fixtures"
OLD = ("2.5", "2.13", "2.17")
NEW = ("2.15", "3.1", "3.5", "4.0")
ALL = (*OLD, *NEW)
TWICE = {"2.5": 2, "2.13": 2}
Parse = Callable[[bytes], Any]


def text(name: str, version: str) -> bytes:
    folder, file = ("written", f"{name}.ovs-{version}") if version in OLD else (f"ovs-{version}", name)
    return (FIXTURES / folder / file).read_bytes()


def interfaces(version: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in ovs_interface.parse(text("ovs-interface", version))}


@pytest.mark.parametrize("version", OLD)
def test_three_views_of_a_port_tell_the_same_numbers(version: str) -> None:
    rows = interfaces(version)
    ports = {row.port: row.counters for row in ovs_dump_ports.parse(text("ovs-dump-ports", version))}
    (datapath,) = ovs_datapath.parse(text("ovs-datapath", version))
    shown = {port.name: port.counters for port in datapath.ports}

    assert rows["vnet0"]["statistics"]["tx_dropped"] == 42 * TWICE.get(version, 1)
    for name in ("br0", "vnet0", "mon0"):
        number = "LOCAL" if rows[name]["ofport"] == 65534 else str(rows[name]["ofport"])
        own = rows[name]["statistics"]
        for key, value in ports[number].items():
            assert own[key] == value, (name, key)
        for key, value in shown.get(name, {}).items():
            assert own.get(key, value) == value, (name, key)
    assert ports["3"]["tx_dropped"] is None
    assert "tx_dropped" not in rows["vx0"]["statistics"]


@pytest.mark.parametrize("version", ALL)
def test_tables_of_every_version_have_what_the_facts_read(version: str) -> None:
    rows = interfaces(version)
    (mirror,) = ovs_mirror.parse(text("ovs-mirror", version))

    assert {type(row["ofport"]) for row in rows.values()} <= {int, list}
    assert all(isinstance(row["statistics"], dict) for row in rows.values())
    assert all(isinstance(row["ingress_policing_rate"], int) for row in rows.values())
    has_packets = version not in {"2.5", "2.13", "2.15"}
    assert all(("ingress_policing_kpkts_rate" in row) is has_packets for row in rows.values())
    assert (mirror["select_all"], mirror["output_vlan"]) == (True, [])
    assert mirror["statistics"]["tx_packets"] > 0
    assert ovs_version.parse(text("ovs-version", version)).startswith(version)


@pytest.mark.parametrize("version", OLD)
def test_rules_of_old_versions(version: str) -> None:
    rules = ovs_dump_flows.parse(text("ovs-dump-flows", version))

    assert [(rule.packets, rule.actions) for rule in rules] == [
        (20, "drop"),
        (876, "strip_vlan,NORMAL"),
        (9, "NORMAL"),
    ]
    assert rules[0].match == "priority=100,dl_type=0x88b5"
    assert rules[2].match == "priority=0"


@pytest.mark.parametrize("version", OLD)
def test_flows_of_old_versions(version: str) -> None:
    flows = ovs_datapath_flows.parse(text("ovs-datapath-flows", version))
    # Up to 2.7 actions name ports by number, though the match names them.
    sent_to = "1" if version == "2.5" else "vnet0"

    assert [(flow.in_port, flow.packets) for flow in flows] == [
        ("vnet0", 300),
        ("vxlan_sys_4789", 210),
        ("vnet0", 20),
        ("vnet0", 0),
    ]
    assert flows[1].actions.partition(",")[0] == sent_to
    assert (flows[2].actions, flows[3].used_s) == ("drop", None)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a parser gives
    """Rows as plain data, so that numbers can be held against each other by where they stand."""
    if hasattr(value, "__slots__"):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def numbers(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], int | float]]:  # noqa: ANN401
    if isinstance(value, dict):
        for key, each in value.items():
            yield from numbers(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from numbers(each, (*at, index))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield at, value


TEXTS: dict[str, tuple[Parse, tuple[str, ...]]] = {
    "ovs-datapath": (ovs_datapath.parse, ALL),
    "ovs-dump-ports": (ovs_dump_ports.parse, ALL),
    "ovs-dump-flows": (ovs_dump_flows.parse, ALL),
    "ovs-upcall": (ovs_upcall.parse, ALL),
    "ovs-datapath-flows": (ovs_datapath_flows.parse, ALL),
    "ovs-meter-stats": (ovs_meter_stats.parse, NEW),
    "ovs-coverage": (ovs_coverage.parse, NEW),
}
KEYED = re.compile(rb"(?<![\w.@-])([A-Za-z_][\w-]*)(?=[:=][0-9?])")
CASES = [(name, version) for name, (_, versions) in TEXTS.items() for version in versions]


def held(parse: Parse, good: bytes, bad: bytes, what: str) -> None:
    """A changed text is refused, or every number that it gives stands where it stood before."""
    right = dict(numbers(plain(parse(good))))
    try:
        found = dict(numbers(plain(parse(bad))))
    except ParseError:
        return
    wrong = {at: (value, right.get(at)) for at, value in found.items() if right.get(at) != value}
    assert not wrong, (what, wrong)


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_number_under_a_new_name_is_not_taken_for_another(name: str, version: str) -> None:
    parse, good = TEXTS[name][0], text(name, version)
    places = list(KEYED.finditer(good))
    assert places or name in {"ovs-upcall", "ovs-coverage"}
    for place in places[:60]:
        held(parse, good, good[: place.start(1)] + b"new-" + good[place.start(1) :], place[1].decode())


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_column_that_is_new_shifts_no_other(name: str, version: str) -> None:
    parse, good = TEXTS[name][0], text(name, version)
    for place in list(re.finditer(rb"(?<=\d)[ ,](?= ?[a-z])", good))[:60]:
        extra = b" added:77" if place[0] == b" " else b", added=77"
        held(parse, good, good[: place.start()] + extra + good[place.start() :], str(place.start()))


@pytest.mark.parametrize(("name", "version"), CASES)
def test_a_number_that_is_none_is_refused_or_left_out(name: str, version: str) -> None:
    parse, good = TEXTS[name][0], text(name, version)
    right = dict(numbers(plain(parse(good))))
    for place in list(re.finditer(rb"(?<=[:=])[0-9]+(?=[ ,)\n])", good))[:60]:
        for instead in (b"12a", b"-1", b"1e3", b"\xd9\xa3", b"0x10", b"1_0"):
            try:
                found = dict(numbers(plain(parse(good[: place.start()] + instead + good[place.end() :]))))
            except ParseError:
                continue
            wrong = {at for at, value in found.items() if right.get(at) not in {value, None}}
            assert not wrong, (place.start(), instead, wrong)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("name", ["ovs-interface", "ovs-mirror"])
def test_a_table_is_read_by_its_headings_alone(name: str, version: str) -> None:
    parse = {"ovs-interface": ovs_interface.parse, "ovs-mirror": ovs_mirror.parse}[name]
    table = json.loads(text(name, version))
    right = parse(json.dumps(table).encode())
    turned = {
        "headings": [*table["headings"][::-1], "added"],
        "data": [[*row[::-1], ["set", [7]]] for row in table["data"]],
    }

    assert [
        {k: v for k, v in row.items() if k != "added"} for row in parse(json.dumps(turned).encode())
    ] == right
    for spoiled in (
        {"headings": table["headings"][1:], "data": table["data"]},
        {"headings": table["headings"], "data": [row[:-1] for row in table["data"]]},
        {"rows": table["data"]},
        {"headings": table["headings"], "data": [[{"v": 1} for _ in row] for row in table["data"]]},
    ):
        with pytest.raises(ParseError):
            parse(json.dumps(spoiled).encode())
