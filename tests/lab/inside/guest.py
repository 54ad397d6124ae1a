# SPDX-License-Identifier: Apache-2.0
"""Run a shell line in the guest by its serial port: `guest.py SOCKET LINE`; output and status are its."""

import socket
import sys


def main(path: str, line: str) -> int:
    """Send the line, print what comes back up to the line with the status, and return that."""
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(60)
        port.connect(path)
        port.sendall(line.encode() + b"\n")
        with port.makefile("r", encoding="utf-8", errors="replace") as lines:
            for answer in lines:
                text = answer.rstrip("\r\n")
                if text.startswith("=") and text[1:].isdigit():
                    return int(text[1:])
                print(text)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
