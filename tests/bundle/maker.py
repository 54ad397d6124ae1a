# SPDX-License-Identifier: Apache-2.0
"""Makes bundles for the tests, whole and broken."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Entry = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]
FOLDER = "vnetkb-node7-20261122T134500Z"


class Maker:
    """Makes bundles below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder_name = FOLDER

    def files(self) -> dict[str, bytes]:
        """Return the captures of a small bundle by their path."""
        return {
            "host/0/sysfs-net": b"vnet3/statistics/tx_dropped:1\nvnet3/mtu:1500\n",
            "host/1/sysfs-net": b"vnet3/statistics/tx_dropped:9\nvnet3/mtu:1500\n",
            "host/0/os-release": b"ID=debian\n",
            "series/proc-stat": b"@ 0 10.00\ncpu  1 2 3 4 5 6 7 8\n@ 1 11.00\ncpu  2 2 3 4 5 6 7 8\n",
        }

    def manifest(self, files: dict[str, bytes] | None = None) -> dict[str, Any]:
        """Return the manifest that belongs to the captures, with one absent capture besides."""
        captures = [self.capture(path, data) for path, data in (files or self.files()).items()]
        absent = self.capture("host/1/tc-qdisc", b"")
        absent |= dict.fromkeys(("path", "exit_status", "start_monotonic_s", "duration_s", "bytes", "sha256"))
        absent["absent"] = {"reason": "tool-missing", "detail": "tc not found"}
        moment = {"wall": "2026-11-22T13:45:00Z", "monotonic_s": 10.0}
        return {
            "schema_version": "1.0",
            "collector": {"name": "vnetkb-collect", "version": "0.1.0", "sha256": "0" * 64},
            "host": {"name": "node7"},
            "kernel": {"release": "6.1.0", "version": "#1 SMP", "machine": "x86_64"},
            "boot_id": "be11de0d-ecd0-469c-b0b5-eef639cc1d27",
            "root": True,
            "masked": False,
            "start": moment,
            "end": {"wall": "2026-11-22T13:45:12Z", "monotonic_s": 22.0},
            "options": {"interval_s": 10, "snapshots": 2, "devices": ["vnet3"]},
            "wait_for_drop": {"max_s": 600, "waited_s": 12.5, "dropped": True, "devices": ["vnet3"]},
            "trace": None,
            "notes": ["a note"],
            "snapshots": [
                {"n": 0, **moment, "end_monotonic_s": 10.5},
                {"n": 1, "wall": "2026-11-22T13:45:10Z", "monotonic_s": 20.0, "end_monotonic_s": None},
            ],
            "series": {"every_s": 1, "samples": 2},
            "captures": [*captures, absent],
        }

    def capture(self, path: str, data: bytes) -> dict[str, Any]:
        """Return the entry of one capture."""
        scope, *_, name = path.split("/")
        return {
            "id": name,
            "scope": scope,
            "snapshot": int(path.split("/")[1]) if scope == "host" else None,
            "path": path,
            "argv": ["cat", name],
            "exit_status": 0,
            "start_monotonic_s": 10.1,
            "duration_s": 0.01,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "truncated": False,
            "absent": None,
        }

    def members(self, manifest: object = None, files: dict[str, bytes] | None = None) -> dict[str, bytes]:
        """Return every member of a bundle by its full path, the manifest first."""
        files = self.files() if files is None else files
        document = self.manifest(files) if manifest is None else manifest
        whole = {
            "manifest.json": document if isinstance(document, bytes) else json.dumps(document).encode(),
            **files,
            "collector.log": b"log\n",
        }
        return {f"{self.folder_name}/{name}": data for name, data in whole.items()}

    def tar(self, members: dict[str, bytes] | Sequence[Entry]) -> bytes:
        """Return a tar archive of plain files, or of entries as they are given."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
            if isinstance(members, dict):
                for name, data in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
            else:
                for entry in members:
                    info, data = entry if isinstance(entry, tuple) else (entry, b"")
                    archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def write(self, data: bytes, name: str = f"{FOLDER}.tar.gz") -> Path:
        """Write raw bytes as a file."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def bundle(self, manifest: object = None, files: dict[str, bytes] | None = None) -> Path:
        """Write a whole bundle."""
        return self.write(gzip.compress(self.tar(self.members(manifest, files)), mtime=0))
