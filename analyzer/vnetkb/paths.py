# SPDX-License-Identifier: Apache-2.0
"""Where the knowledge, the schemas, the collectors and the docs are.

In a checkout (an editable install) they lie beside `analyzer/`; in a wheel the build hook has put them into
`vnetkb/_data/`. Nothing else in the package may guess a path.
"""

from pathlib import Path

from vnetkb.errors import VnetkbError

_PACKAGE = Path(__file__).resolve().parent
_PACKAGED = _PACKAGE / "_data"
COMPILED_KB_NAME = "kb.json"


def is_packaged() -> bool:
    """Tell whether this is an installed wheel (true) or a source tree (false)."""
    return _PACKAGED.is_dir()


def data_dir(name: str) -> Path:
    """Return the folder `name` (`kb`, `schemas`, `collectors`, `docs`), whichever way vnetkb was installed.

    Raises:
        VnetkbError: The folder is missing, so the installation is incomplete.
    """
    folder = (_PACKAGED if is_packaged() else _PACKAGE.parents[1]) / name
    if not folder.is_dir():
        msg = f"{folder}: not there, expected as part of vnetkb; install vnetkb again"
        raise VnetkbError(msg)
    return folder


def kb_dir() -> Path:
    """Return the folder with the knowledge base as YAML and Markdown."""
    return data_dir("kb")


def compiled_kb() -> Path | None:
    """Return the compiled knowledge base of an installed wheel, `None` in a source tree."""
    compiled = _PACKAGED / COMPILED_KB_NAME
    return compiled if compiled.is_file() else None


def schemas_dir() -> Path:
    """Return the folder with the JSON Schemas."""
    return data_dir("schemas")


def collectors_dir() -> Path:
    """Return the folder with the collector scripts."""
    return data_dir("collectors")


_SCRIPTS = {
    "host": "host/vnetkb-collect",
    "guest-linux": "guest-linux/vnetkb-guest",
    "guest-windows": "guest-windows/vnetkb-guest.ps1",
    "guest-windows-cmd": "guest-windows/vnetkb-guest.cmd",
}


def collector(kind: str) -> Path:
    """Return a collector script: `host`, `guest-linux`, `guest-windows` or `guest-windows-cmd`.

    Raises:
        VnetkbError: The script is missing, so the installation is incomplete.
    """
    script = collectors_dir() / _SCRIPTS[kind]
    if not script.is_file():
        msg = f"{script}: not there, expected the {kind} collector; install vnetkb again"
        raise VnetkbError(msg)
    return script


def docs_dir() -> Path | None:
    """Return the folder with the built reference, in it one folder a language; `None` if it was not built."""
    folder = _PACKAGED / "docs" if is_packaged() else _PACKAGE.parents[1] / "build" / "docs"
    return folder if (folder / "index.html").is_file() else None
