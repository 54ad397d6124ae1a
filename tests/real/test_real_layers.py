# SPDX-License-Identifier: Apache-2.0
"""Loss outside a tap's ring on this machine's kernel, the real collector, the real analyzer: the right cause.

What is played is in layers.py. Tests look at ids and fields of the JSON, never at its prose.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import layers
from played import Analyze

AT_ONCE = 3


@dataclass(frozen=True)
class Expected:
    """What must be found, on which subject, and how surely."""

    kind: str
    name: str
    counter: str | None
    cause: str
    verdict: str = "likely"
    harm: str = "harmful"


EXPECTED = {
    "tap-down": Expected("tap", "vnet0", "tap.rx_dropped", "tap-rx-device-down", "confirmed"),
    "tap-without-bridge": Expected("tap", "vnet0", "tap.rx_dropped", "tap-rx-not-bridged"),
    "tap-xdp": Expected("tap", "vnet0", "tap.rx_dropped", "tap-rx-xdp"),
    "tun-not-ip": Expected("tap", "vnet0", "tap.rx_dropped", "tap-rx-malformed"),
    "macvtap-unread": Expected("macvtap", "mv0", "macvtap.rx_dropped", "macvtap-ring-full"),
    "macvtap-lower": Expected("macvtap", "mv0", "macvtap.tx_dropped", "macvtap-lower-refused"),
    "veth-mtu": Expected("veth", "v0", "veth.tx_dropped", "veth-drop"),
    "unknown-protocol": Expected("veth", "v1", "veth.rx_dropped", "nic-unknown-protocol", harm="harmless"),
    "qdisc-tbf": Expected("qdisc", "v0", "qdisc.drops", "qdisc-shaped", "confirmed", "watch"),
    "qdisc-htb": Expected("qdisc", "v0", "qdisc.drops", "qdisc-shaped", "confirmed", "watch"),
    "qdisc-pfifo": Expected("qdisc", "v0", "qdisc.drops", "qdisc-queue-full", "confirmed"),
    "silent-reader": Expected("tap", "vnet0", None, "tap-reader-lost"),
    "frames-cut": Expected("tap", "vnet0", None, "tap-frame-truncated", harm="unknown"),
}


@pytest.fixture(scope="module")
def bundles_of(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path | str]:
    """Play everything, a few at a time; what could not be played says why."""
    folders = {name: tmp_path_factory.mktemp(name) for name in layers.PLAYS}

    def play(name: str) -> tuple[str, Path | str]:
        script = [sys.executable, layers.__file__, name, "--out", str(folders[name])]
        done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            return name, f"FAILED: {done.stderr}"
        told = json.loads(done.stdout)
        return name, told.get("lacking") or Path(told["bundle"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(play, layers.PLAYS))


def test_everything_that_is_played_has_an_expectation() -> None:
    assert set(EXPECTED) == set(layers.PLAYS)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_cause_is_named(name: str, bundles_of: Mapping[str, Path | str], analyze: Analyze) -> None:
    bundle = bundles_of[name]
    if isinstance(bundle, str) and not bundle.startswith("FAILED"):
        pytest.skip(f"this kernel cannot: {bundle}")
    assert isinstance(bundle, Path), bundle
    expected = EXPECTED[name]
    report = analyze(bundle).report
    (finding,) = (
        each
        for each in report["findings"]
        if (each["subject"]["kind"], each["subject"]["name"]) == (expected.kind, expected.name)
    )
    assert finding["symptom"]["counter"] == expected.counter
    assert finding["symptom"]["state"] == ("silent" if expected.counter is None else "rising")
    assert (finding["cause"], finding["verdict"], finding["harm"]) == (
        expected.cause,
        expected.verdict,
        expected.harm,
    )
    assert finding["remedies"]
