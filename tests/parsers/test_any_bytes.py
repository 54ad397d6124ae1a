# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes, a parser gives rows or a ParseError, and nothing else."""

import dataclasses
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vnetkb.parsers
from vnetkb.parsers.errors import ParseError

FIXTURES = Path(__file__).parent / "fixtures"
SHARED = {"errors", "text", "json_text", "tc_text", "windows_text"}
NAMES = sorted({module.name for module in pkgutil.iter_modules(vnetkb.parsers.__path__)} - SHARED)
OVS_TABLES = {"bridge", "interface", "ipfix", "mirror", "netflow", "open_vswitch", "port", "qos", "queue"}
OVS_TABLES |= {"json", "sample_collectors", "sflow"}
JSON = {
    "agent_info",
    "agent_interfaces",
    "agent_reply",
    "win_counters",
    "win_rows",
    "ip_link",
    "tc_qdisc",
    "bridge_link",
} | {f"ovs_{name}" for name in OVS_TABLES}
# these hold text or a few values, not a row for each line
BY_BLOCKS = {"ethtool_blocks", "ethtool_k", "libvirt_version", "ovs_version", "proc_version", "tool_versions"}
BY_BLOCKS |= {
    "virsh_dumpxml",
    "ethtool_i",
    "ethtool_l",
    "ethtool_g",
    "ethtool_s",
    "virtio_queue_status",
    "ovs_memory",
    "ovs_fdb_stats",
}
BY_BLOCKS |= {"ovs_datapath_flows", "ovs_dump_flows", "ovs_dump_ports", "ovs_meter_stats"}
relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"vnetkb.parsers.{name}")


def parser_of(name: str) -> Callable[[bytes], object]:
    module = module_of(name)
    parse: Callable[[bytes], object] = module.split if name == "series" else module.parse
    return parse


def seeds(name: str) -> list[bytes]:
    """Return every fixture of the kind: the capture id, with or without a suffix."""
    capture = name.replace("_", "-")
    found = [path for path in sorted(FIXTURES.glob("*/*")) if path.name.partition(".")[0] == capture]
    if name == "series":
        found = sorted(FIXTURES.glob("*/series/*"))
    if name == "ethtool_blocks":
        found = sorted(FIXTURES.glob("*/ethtool-*"))
    if name == "ovs_json":
        found = sorted(FIXTURES.glob("*/ovs-interface"))
    if name == "grep_lines":
        found = sorted(FIXTURES.glob("*/sysctl-net"))
    if name == "proc_stat":
        found = sorted(FIXTURES.glob("*/proc-stat"))
    return [path.read_bytes() for path in found]


def rows_or_refusal(parse: Callable[[bytes], object], data: bytes) -> None:
    message = ""
    try:
        parse(data)
    except ParseError as error:
        message = str(error)
    assert message == "" or message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize("name", NAMES)
def test_every_parser_has_captured_text_that_it_reads(name: str) -> None:
    assert seeds(name)
    for data in seeds(name):
        assert parser_of(name)(data) is not None


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=400))
@relaxed
def test_any_bytes(name: str, data: bytes) -> None:
    rows_or_refusal(parser_of(name), data)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@relaxed
def test_captured_text_with_bytes_changed_cut_out_or_put_in(name: str, data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from(seeds(name))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        insert = data.draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [
                        b"9" * 50,
                        b"-1",
                        b"\n",
                        b" ",
                        b"\t",
                        b":",
                        b"/",
                        b"\0",
                        b"\xff\xfe",
                        b"@ ",
                        b"[",
                        b"{",
                        b"\xe2\x80\xa8",
                    ]
                ),
            )
        )
        text[start:end] = insert
    rows_or_refusal(parser_of(name), bytes(text))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(relaxed, max_examples=30)
def test_captured_text_cut_at_any_byte(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(seeds(name)))
    rows_or_refusal(parser_of(name), text[: data.draw(st.integers(0, len(text)))])


@pytest.mark.parametrize("name", NAMES)
def test_giants_are_read_or_refused(name: str) -> None:
    # at this size a pattern that takes quadratic time would take minutes
    whole = seeds(name)[0]
    for unit in (b"9", b"a", b"\n", b"[", b" ", b"\t", b"-", b":", b",", b"<a>", b"/1", b" -> ", b"0-1 [0] "):
        for before in (b"", whole[:-1]):
            rows_or_refusal(parser_of(name), before + unit * (200_000 // len(unit)))


@pytest.mark.parametrize("name", sorted(set(NAMES) - BY_BLOCKS))
def test_floods_of_lines_and_values_are_refused_before_they_fill_the_memory(name: str) -> None:
    flood = (
        b"[[],[]," * 700_000
        if name in JSON
        else b"@ 0 1\n" * 1_000_002
        if name == "series"
        else b"\n" * 2_000_001
    )
    with pytest.raises(ParseError):
        parser_of(name)(flood)


@pytest.mark.parametrize("name", NAMES)
def test_rows_cannot_be_changed_and_are_small(name: str) -> None:
    module = module_of(name)
    for value in vars(module).values():
        if (
            dataclasses.is_dataclass(value)
            and isinstance(value, type)
            and value.__module__ == module.__name__
        ):
            assert value.__dataclass_params__.frozen, value  # type: ignore[attr-defined]
            assert "__slots__" in vars(value), value


def test_each_parser_can_be_imported_alone_and_the_package_imports_none() -> None:
    script = (
        "import sys, importlib, vnetkb.parsers\n"
        "assert not [m for m in sys.modules if m.startswith('vnetkb.parsers.')]\n"
        f"for name in {NAMES!r}:\n    importlib.import_module('vnetkb.parsers.' + name)\n"
        "assert 'xml' not in sys.modules, 'only a host with libvirt pays for XML'\n"
        "assert not [m for m in sys.modules if m.startswith(('vnetkb.bundle', 'vnetkb.kb'))]\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=environment
    )
    assert done.stderr == ""
    assert done.returncode == 0
