# SPDX-License-Identifier: Apache-2.0
"""Give QEMU one QMP command: `qmp.py SOCKET COMMAND [ARGUMENTS-AS-JSON]`; prints what it returns as JSON."""

import json
import socket
import sys
from typing import Any


def main(path: str, command: str, arguments: str = "{}") -> None:
    """Negotiate, run the command, print its result."""
    with socket.socket(socket.AF_UNIX) as port:
        port.connect(path)
        with port.makefile("rw", encoding="utf-8") as lines:
            lines.readline()
            answer: dict[str, Any] = {}
            for request in (
                {"execute": "qmp_capabilities"},
                {"execute": command, "arguments": json.loads(arguments)},
            ):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
    print(json.dumps(answer.get("return", answer)))  # noqa: T201
    sys.exit(0 if "return" in answer else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
