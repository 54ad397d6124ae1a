# SPDX-License-Identifier: Apache-2.0
"""Subjects of which every test says the same are judged once; nobody may see that in the answer."""

from pathlib import Path

import pytest

from simulated import Device, Host, status
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_json import document

KB = load_kb()
STEADY = [(1000 * n, 100 * n) for n in range(7)]
BURST = [(1000 * n, 600 if n > 3 else 0) for n in range(7)]


def tap(name: str, number: int, series: list[tuple[int, int]], tx_queue_len: int = 1000) -> Device:
    lost, passed = series[-1][1], series[-1][0]
    return Device(
        name,
        (0, lost),
        (0, passed),
        series=series,
        ifindex=(number, number),
        more={"tx_queue_len": (tx_queue_len, tx_queue_len)},
    )


@pytest.mark.parametrize("backwards", [False, True])
def test_each_of_many_is_judged_as_if_it_were_alone(tmp_path: Path, *, backwards: bool) -> None:
    devices = [
        tap("vnet0", 2, STEADY),
        tap("vnet1", 3, STEADY, tx_queue_len=0),
        tap("vnet2", 4, STEADY),
        tap("vnet3", 5, BURST),
        tap("vnet4", 6, STEADY, tx_queue_len=0),
    ]
    pids = {device.name: 4000 + n for n, device in enumerate(devices)}
    captures = {
        "host/0/tun-fdinfo": "".join(f"/proc/{pids[n]}/fdinfo/9:iff:\t{n}\n" for n in pids if n != "vnet2"),
        "host/0/proc-status": "".join(status(pid, pid, "qemu-system-x86") for pid in pids.values()),
    }
    if backwards:
        devices.reverse()
    observations = build(read_bundle(Host(devices, captures=captures).write(tmp_path)), KB)
    together = document(diagnose(observations, KB, every=True))["findings"]
    assert len(together) == len(devices)
    assert len({finding["cause"] for finding in together}) > 1
    for finding in together:
        alone = document(diagnose(observations, KB, devices=[finding["subject"]["name"]]))["findings"]
        assert alone == [{**finding, "id": "f1"}]
