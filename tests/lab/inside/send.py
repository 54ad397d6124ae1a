# SPDX-License-Identifier: Apache-2.0
"""Send UDP to the guest: `send.py ADDRESS PACKETS_PER_S [BURST]`; at SIGTERM it prints how many it sent."""

import signal
import socket
import sys
import time


def main(address: str, packets_per_s: float, burst: int = 1) -> None:
    """Send `burst` packets back to back so often that `packets_per_s` comes out on average."""
    sent = 0
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        payload = b"\xa5" * 200
        due = time.monotonic()
        while not stopped:
            for _ in range(burst):
                try:
                    port.sendto(payload, (address, 4000))
                    sent += 1
                except OSError:
                    continue
            due = max(due + burst / packets_per_s, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))
    print(sent)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:]))
