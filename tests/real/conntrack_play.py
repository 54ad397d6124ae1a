# SPDX-License-Identifier: Apache-2.0
"""Connections tracked in a network namespace of its own until the table is full, and the collector run on it.

Started by the test as ``conntrack_play.py FOLDER``, with the limit of the table already set; it writes the
bundle and what really happened (``truth.json``) into the folder. A datagram of a connection for which there
is no room is refused to its sender, so the senders know how many were dropped.
"""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

COLLECTOR = Path(__file__).resolve().parents[2] / "collectors" / "host" / "vnetkb-collect"
PORT = 4000


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Connector(threading.Thread):
    """Begins connections until told to stop, each from a port of its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.sent = self.refused = 0

    def run(self) -> None:
        while not self.done.wait(0.02):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                try:
                    one.sendto(b"x", ("127.0.0.1", PORT))
                    self.sent += 1
                except PermissionError:
                    self.refused += 1


def play(folder: Path) -> dict[str, object]:
    """Track connections, collect, and return what happened."""
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "link", "set", "lo", "up")
    # Nothing is tracked in a namespace before a rule asks for it.
    run("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW,ESTABLISHED", "-j", "ACCEPT")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", PORT))
        connector = Connector()
        connector.start()
        while connector.sent + connector.refused < 80:
            connector.done.wait(0.05)
        before = connector.refused
        out = run("sh", str(COLLECTOR), "--output", str(folder), "--interval", "2", "--quiet")
        after = connector.refused
        connector.done.set()
        connector.join()
    tracked = Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text(encoding="ascii")
    return {
        "bundle": out.splitlines()[-1],
        "refused": connector.refused,
        "refused_while_collecting": after - before,
        "tracked": int(tracked),
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    (out / "truth.json").write_text(json.dumps(play(out)), encoding="ascii")
