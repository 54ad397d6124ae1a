# SPDX-License-Identifier: Apache-2.0
"""How the lab asks the archive: again when that fails, and without what a failed attempt left."""

from pathlib import Path

import pytest

from vnetlab import images

FAILS_AT_FIRST = '[ -e "$0/tried" ] && echo done && exit; mkdir -p "$0/made/half"; touch "$0/tried"; exit 1'


def test_what_fails_once_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FETCH_PAUSE_S", 0)
    assert images.fetch("sh", "-c", FAILS_AT_FIRST, tmp_path, made=tmp_path / "made") == "done\n"
    assert not (tmp_path / "made").exists()


def test_what_fails_each_time_says_what_it_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FETCH_PAUSE_S", 0)
    with pytest.raises(images.LabError, match="no such suite"):
        images.fetch("sh", "-c", "echo no such suite >&2; exit 100")
