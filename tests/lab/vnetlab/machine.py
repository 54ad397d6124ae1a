# SPDX-License-Identifier: Apache-2.0
"""A machine of the lab: QEMU's TCG with one of Debian's kernels; commands and files go by a virtio port.

The port works whatever happens to the machine's network. Nothing a machine writes outlives it.
"""

import base64
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vnetlab import images
from vnetlab.images import LabError

BOOT_LIMIT_S = 60
BOOTS = 3
PORT_NAME = "vnetkb.lab"


@dataclass(frozen=True)
class Ran:
    """What a command in the machine did: exit status (-1: it was killed at its time limit), output."""

    status: int
    out: str
    err: str


class Machine:
    """A running machine; a context manager that boots it and ends it."""

    def __init__(
        self, kernel: images.Kernel, *, with_vm: bool = False, cpus: int = 2, memory_mib: int = 2048
    ) -> None:
        """Describe the machine; `with_vm`: it has QEMU, and the small Linux guest under /state."""
        self._kernel = kernel
        self._with_vm = with_vm
        self._cpus = cpus
        self._memory_mib = memory_mib
        self._folder = tempfile.TemporaryDirectory(prefix="vnetkb-lab-")
        self.serial_log = Path(self._folder.name) / "serial.log"
        self._pending = b""

    def __enter__(self) -> Self:
        """Boot, and wait until the agent answers; a boot that hangs, as few do, is tried again."""
        for _ in range(BOOTS - 1):
            try:
                return self._boot()
            except LabError:
                self.serial_log.unlink(missing_ok=True)
        return self._boot()

    def _boot(self) -> Self:
        path = f"{self._folder.name}/agent"
        # Virtio disks are named in the order of the bus: vda is the root, vdb the modules, vdc the state.
        suite = images.USERLAND_SUITES[self._kernel.name]
        packages = (*images.USERLAND_PACKAGES, *(images.VM_PACKAGES if self._with_vm else ()))
        disks = [images.userland(suite, packages) / "root.ext4", self._kernel.modules]
        disks += [images.guest_state()] if self._with_vm else []
        command = [
            "nice", "-n", os.environ.get("VNETKB_LAB_NICE", "10"),
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem", "-machine", "q35",
            "-smp", str(self._cpus), "-m", str(self._memory_mib), "-nodefaults", "-display", "none",
            "-no-reboot",
            "-kernel", str(self._kernel.image), "-initrd", str(self._kernel.boot),
            "-append", "console=ttyS0 loglevel=5 rdinit=/init panic=-1 mitigations=off tsc=reliable",
            "-serial", f"file:{self.serial_log}",
            "-chardev", f"socket,id=agent,path={path},server=on,wait=off",
            "-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=agent,name={PORT_NAME}",
        ]  # fmt: skip
        for number, disk in enumerate(disks):
            command += [
                "-drive", f"if=none,id=disk{number},file={disk},format=raw,readonly=on",
                "-device", f"virtio-blk-pci,drive=disk{number}",
            ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        if share := os.environ.get("VNETKB_LAB_SHARE"):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(share, encoding="ascii")
        self._port = socket.socket(socket.AF_UNIX)
        self._pending = b""
        try:
            self._connect(path)
            self._read(BOOT_LIMIT_S)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the machine."""
        self._end()

    def _stop(self) -> None:
        self._port.close()
        self._process.kill()
        self._process.communicate()
        Path(self._folder.name, "agent").unlink(missing_ok=True)

    def _end(self) -> None:
        self._stop()
        self._folder.cleanup()

    def _connect(self, path: str) -> None:
        until = time.monotonic() + 20
        while True:
            try:
                self._port.connect(path)
            except OSError as error:
                if self._process.poll() is not None:
                    raise LabError(f"QEMU ended: {self._process.communicate()[1]}") from error
                if time.monotonic() > until:
                    raise LabError(f"no answer from QEMU at {path}") from error
                time.sleep(0.05)
            else:
                return

    def _read(self, limit_s: float) -> dict[str, Any]:
        until = time.monotonic() + limit_s
        while b"\n" not in self._pending:
            self._port.settimeout(max(0.1, until - time.monotonic()))
            try:
                data = self._port.recv(1 << 20)
            except TimeoutError:
                raise LabError(
                    f"the machine did not answer in {limit_s:.0f} s; {self.last_words()}"
                ) from None
            if not data:
                raise LabError(f"the machine went away; {self.last_words()}")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def last_words(self) -> str:
        """Return the last lines of the serial console, for messages."""
        if not self.serial_log.exists():
            return "no serial console"
        return "console: " + " | ".join(self.serial_log.read_text(errors="replace").splitlines()[-8:])

    def _ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        began = time.monotonic()
        self._port.settimeout(limit_s)
        self._port.sendall(json.dumps(request).encode() + b"\n")
        answer = self._read(limit_s)
        if os.environ.get("VNETKB_LAB_VERBOSE"):
            asked = str(request.get("run") or request.get("put") or request.get("get"))
            sys.stderr.write(f"{time.monotonic() - began:6.1f} s  {asked!r:.300}\n")
        if "error" in answer:
            raise LabError(f"in the machine: {answer['error']}")
        return answer

    def try_run(self, script: str, *, limit_s: float = 60) -> Ran:
        """Run shell text as root in the machine and return what it did, whatever its status."""
        answer = self._ask({"run": script, "timeout": limit_s}, limit_s + 30)
        return Ran(answer["status"], base64.b64decode(answer["out"]).decode(errors="replace"), answer["err"])

    def run(self, script: str, *, limit_s: float = 60) -> str:
        """Run shell text as root in the machine and return what it printed.

        Raises:
            LabError: Its exit status was not 0, or it did not end within `limit_s` seconds.
        """
        ran = self.try_run(script, limit_s=limit_s)
        if ran.status != 0:
            raise LabError(
                f"in the machine: {script.strip()!r} ended with {ran.status}: {ran.err.strip()[-2000:]}"
            )
        return ran.out

    def start(self, command: str, log: str = "/dev/null") -> int:
        """Start a command in the background and return its process id."""
        return int(self.run(f"setsid {command} >{shlex.quote(log)} 2>&1 </dev/null & echo $!"))

    def wait_for(self, condition: str, *, limit_s: float = 60) -> None:
        """Wait until a shell condition holds in the machine.

        Raises:
            LabError: It did not within `limit_s` seconds.
        """
        waiting = f"until {condition}; do sleep 0.2; done"
        if self.try_run(waiting, limit_s=limit_s).status != 0:
            raise LabError(f"in the machine: not within {limit_s:.0f} s: {condition}")

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file in the machine."""
        self._ask({"put": path, "data": base64.b64encode(data).decode(), "mode": mode}, 60)

    def get(self, path: str) -> bytes:
        """Read a file of the machine."""
        return base64.b64decode(self._ask({"get": path}, 120)["data"])


def keep_serial_log(machine: Machine, folder: Path, name: str) -> Path:
    """Copy the serial log to where it outlives the machine, and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{name}.serial.log"
    kept.write_bytes(machine.serial_log.read_bytes() if machine.serial_log.exists() else b"")
    return kept
