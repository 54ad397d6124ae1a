# SPDX-License-Identifier: Apache-2.0
"""Hatch build hook: puts the knowledge, schemas, collectors, the compiled kb.json and catalogues into wheels.

An editable install reads all of that from the tree, so there the hook does nothing: copies would go stale.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import polib
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED = "vnetkb/_data"
FOLDERS = ("kb", "schemas", "collectors")


class VnetkbBuildHook(BuildHookInterface[Any]):
    """Adds `vnetkb/_data/` to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Tell hatchling which files go in; `version` is `standard` or `editable`."""
        if version == "editable":
            return
        root = Path(self.root)
        include = build_data["force_include"]
        self._scratch = tempfile.TemporaryDirectory(prefix="vnetkb-build-")
        scratch = Path(self._scratch.name)
        for folder in FOLDERS:
            for file in sorted((root / folder).rglob("*")):
                place = f"{PACKAGED}/{file.relative_to(root).as_posix()}"
                if file.suffix == ".po":
                    catalogue = scratch / f"{file.parent.name}-{file.stem}.mo"
                    polib.pofile(str(file)).save_as_mofile(str(catalogue))
                    include[str(catalogue)] = f"{place.removesuffix('.po')}.mo"
                elif file.is_file() and "__pycache__" not in file.parts:
                    include[str(file)] = place
        self._add_docs(root, include)
        compiled = scratch / "kb.json"
        compiled.write_bytes(self._compile(root))
        include[str(compiled)] = f"{PACKAGED}/kb.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch folder, `version`, `build_data` and `artifact_path` being unused."""
        del version, build_data, artifact_path
        scratch = getattr(self, "_scratch", None)
        if scratch is not None:
            scratch.cleanup()

    def _add_docs(self, root: Path, include: dict[str, str]) -> None:
        """Take the built docs in if they are those of this tree: stale ones tell what is not so."""
        sys.path.insert(0, str(root / "tools"))
        try:
            import publish  # noqa: PLC0415 - beside this file, which hatchling loads by its path
        finally:
            sys.path.pop(0)
        if not publish.is_current():
            self.app.display_warning(
                "the docs of this tree are not built: the wheel has none (use make wheel)"
            )
            return
        for file in publish.published():
            include[str(file)] = f"{PACKAGED}/docs/{file.relative_to(publish.BUILT).as_posix()}"

    @staticmethod
    def _compile(root: Path) -> bytes:
        sys.path.insert(0, str(root / "analyzer"))
        try:
            from vnetkb.kb.load import compile_kb  # noqa: PLC0415 - the tree's own package, only now on the path
        finally:
            sys.path.pop(0)
        return compile_kb(root / "kb")
