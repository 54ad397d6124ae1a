# SPDX-License-Identifier: Apache-2.0
"""The agent in a machine of the lab: one JSON request a line comes by a virtio port, one line goes back.

Requests: {"run": shell text, "timeout": seconds}, {"put": path, "data": base64, "mode": number},
{"get": path}.
"""

import base64
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PORT_NAME = "vnetkb.lab"


def find_port() -> Path:
    """Return the character device of our virtio port, once the kernel has named it."""
    while True:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text(encoding="ascii").strip() == PORT_NAME:
                return Path("/dev") / name.parent.name
        time.sleep(0.1)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run shell text; its output goes through files, so that what it leaves running holds nothing up."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            ["/bin/sh", "-c", request["run"]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            status = child.wait(request["timeout"])
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            status = -1
        out.seek(0)
        err.seek(0)
        return {"status": status, "out": base64.b64encode(out.read()).decode(), "err": err.read().decode()}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what was asked."""
    if "run" in request:
        return run(request)
    if "put" in request:
        path = Path(request["put"])
        path.write_bytes(base64.b64decode(request["data"]))
        path.chmod(request["mode"])
        return {}
    return {"data": base64.b64encode(Path(request["get"]).read_bytes()).decode()}


def main() -> None:
    """Serve for ever."""
    with find_port().open("r+b", buffering=0) as port:
        port.write(b'{"ready": true}\n')
        pending = b""
        while True:
            line, newline, rest = pending.partition(b"\n")
            if not newline:
                read = port.read(1 << 20)
                if not read:
                    time.sleep(0.1)
                pending += read or b""
                continue
            pending = rest
            try:
                reply = answer(json.loads(line))
            except OSError as error:
                reply = {"error": str(error)}
            data = json.dumps(reply).encode() + b"\n"
            while data:
                data = data[port.write(data) :]


if __name__ == "__main__":
    main()
