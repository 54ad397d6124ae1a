# SPDX-License-Identifier: Apache-2.0
"""Every text for people has a translation that was looked at: `make catalogue` lists and adds what is new."""

from pathlib import Path

import pytest

import catalogue

TREE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_the_catalogue_is_complete(language: str) -> None:
    faults = list(catalogue.faults(TREE / "kb/locale" / language, catalogue.collect(TREE)))
    shown = "\n".join(faults[:40])
    assert not faults, f"{len(faults)} texts, run make catalogue and translate them:\n{shown}"
