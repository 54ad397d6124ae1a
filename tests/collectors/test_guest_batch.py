# SPDX-License-Identifier: Apache-2.0
"""The batch file of the Windows collector, run by the cmd.exe and the netstat of Wine, which is no Windows.

Wine has no PowerShell that works, no getmac and no netsh that tells anything: what the batch file is for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import TREE
from vnetkb.bundle.guest_file import read_guest_file
from vnetkb.parsers import key_values, win_netstat_e, win_netstat_s

if TYPE_CHECKING:
    from collections.abc import Iterator

WINE, SERVER = Path("/usr/lib/wine/wine64"), Path("/usr/lib/wine/wineserver64")
pytestmark = pytest.mark.skipif(not WINE.exists(), reason="NOT TESTED: wine64 is not here")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of a Wine of its own."""
    folder = tmp_path_factory.mktemp("wine")
    environment = {
        **os.environ,
        "WINEPREFIX": str(folder / "prefix"),
        "HOME": str(folder),
        "WINEDEBUG": "-all",
    }
    yield environment
    subprocess.run([SERVER, "-k"], env=environment, check=False, timeout=60)


def batch(machine: dict[str, str], folder: Path, options: str) -> tuple[int, str, str]:
    """Run the batch file in a folder; return its exit status, and what it printed and complained of."""
    for name in ("vnetkb-guest.cmd", "vnetkb-guest.ps1"):
        shutil.copy(TREE / "collectors" / "guest-windows" / name, folder)
    done = subprocess.run(
        [WINE, "cmd", "/c", f"vnetkb-guest.cmd {options}"],
        cwd=folder,
        env=machine,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "options", ["--plain --interval 1", "--interval 1"], ids=["plain", "powershell-does-nothing"]
)
def test_what_it_writes_is_read_again(machine: dict[str, str], tmp_path: Path, options: str) -> None:
    status, out, said = batch(machine, tmp_path, options)
    file = tmp_path / out.splitlines()[-1].strip().replace("\\", "/")
    found = read_guest_file(file.name, file.read_bytes())
    manifest = dict(key_values.parse(found.captures["guest-manifest", 0]))
    before, after = (win_netstat_e.parse(found.captures["win-netstat-e", n]) for n in (0, 1))

    assert (status, found.cut) == (0, False)
    assert ("PowerShell did not work" in said) == ("--plain" not in options)
    assert (manifest["system"], manifest["collector"]) == ("windows", "vnetkb-guest.cmd")
    assert after.rx_bytes >= before.rx_bytes > 0
    assert set(win_netstat_s.parse(found.captures["win-netstat-s", 1])) >= {"TCPv4", "UDPv4"}
    # what gave nothing is no capture
    assert ("win-getmac", 0) not in found.captures


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ("--nonsense", 2, "unknown option"),
        ("--interval soon --plain", 2, "whole seconds"),
        ("--output nowhere --plain", 1, "is no folder; nothing was written"),
    ],
)
def test_what_it_refuses(
    machine: dict[str, str], tmp_path: Path, options: str, status: int, said: str
) -> None:
    returned, _, complaint = batch(machine, tmp_path, options)

    assert returned == status
    assert said in complaint
    assert not list(tmp_path.glob("*.txt"))


def test_the_self_check_tells_each_tool_once_and_writes_nothing(
    machine: dict[str, str], tmp_path: Path
) -> None:
    status, out, _ = batch(machine, tmp_path, "--plain --self-check")
    tools = [line.split() for line in out.splitlines()]

    assert status == 0
    assert [tool for _, tool in tools] == ["netstat", "netsh", "getmac", "reg", "chcp", "timeout", "ping"]
    assert {state for state, _ in tools} <= {"ok", "missing"}
    assert not list(tmp_path.glob("*.txt"))
