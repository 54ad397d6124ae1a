# SPDX-License-Identifier: Apache-2.0
"""The demo: make a port that really loses packets, collect from it, and print vnetkb's answer.

As root on Linux with /dev/net/tun everything happens in namespaces of its own and is removed afterwards;
nothing of this machine's network is touched. Elsewhere a small recorded bundle is analyzed instead.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE / "tests" / "real"))

import rig  # noqa: E402 - the rig lives with the tests of real taps
import scenarios  # noqa: E402

RECORDED = TREE / "tests" / "data" / "demo"
INTERVAL_S = 4
DONE = (0, 1)
"""Exit statuses of `vnetkb analyze` that come with an answer; 1 says that loss does harm."""


def two_ports(stage: scenarios.Stage) -> None:
    """Build a port whose reader is stopped, as a hung QEMU is, and one whose reader keeps up."""
    stage.port(rig.Load.at_rate(500), reads=rig.read_polling, stopped=True)
    stage.port(rig.Load.at_rate(500), reads=rig.read_polling)


def say(text: str) -> None:
    """Print one line of the demo's own, apart from vnetkb's answer."""
    print(f"demo: {text}", flush=True)


def record(folder: Path) -> Path:
    """Make the two ports, collect from them into `folder` and return the bundle."""
    say("making two taps in a network namespace of their own: the reader of vnet3 is stopped,")
    say("the reader of vnet4 keeps up, and 500 packets/s go to each")
    say(f"running the collector: two snapshots, {INTERVAL_S} s apart, samples between them")
    options = ["--quiet", "--interval", str(INTERVAL_S)]
    truth = scenarios.run(two_ports, folder, first=3, options=options, warm_up_s=2.5)
    for device, port in truth.ports.items():
        say(f"the truth about {device}: {port.sent} sent, {port.read} read, {port.dropped} dropped")
    return Path(truth.bundle)


def analyze(bundle: Path) -> int:
    """Print vnetkb's answer on `bundle` and return its exit status."""
    print(f"\n$ vnetkb analyze {bundle.name}", flush=True)
    command = [sys.executable, "-m", "vnetkb", "analyze", str(bundle)]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Run the demo and return the exit status: 0 when an answer was printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="put the bundle there instead of removing it"
    )
    keep = parser.parse_args().keep
    started = time.monotonic()
    reason = rig.why_unavailable()
    if reason is not None:
        say(f"no tap can be made here ({reason});")
        say("so this analyzes a bundle that the same demo recorded elsewhere; the real thing: sudo make demo")
        bundles = sorted(RECORDED.glob("vnetkb-*.tar.gz"))
        return 0 if analyze(bundles[-1]) in DONE else 1
    with tempfile.TemporaryDirectory(prefix="vnetkb-demo-") as scratch:
        status = analyze(record(keep or Path(scratch)))
    print()
    say(
        f"done in {time.monotonic() - started:.0f} s; the taps are gone"
        + ("" if keep else ", the bundle too")
    )
    return 0 if status in DONE else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
