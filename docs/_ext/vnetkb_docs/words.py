# SPDX-License-Identifier: Apache-2.0
"""The extension's own words, in the language of the build.

They are few, so their catalogue is one file, `docs/locale/zh_CN/words.yaml`: English to Chinese. A word
that is not in it fails the Chinese build.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path

import yaml
from sphinx.util import logging

from vnetkb.language import Language, speaking

CATALOGUE = Path(__file__).resolve().parents[2] / "locale" / "zh_CN" / "words.yaml"

_logger = logging.getLogger(__name__)
_language = ["en"]
_speaking = ExitStack()


def use(language: str) -> None:
    """Say in which language, `en` or `zh`, the build is; vnetkb's own texts are told in it from then on."""
    if language != _language[0]:
        _speaking.close()
        _speaking.enter_context(speaking(Language(language)))
        _language[0] = language


@cache
def catalogue() -> dict[str, str]:
    """Return the Chinese words."""
    found = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    return {str(english): str(chinese) for english, chinese in found.items()}


def _(english: str) -> str:
    """Return a text of the extension in the language of the build."""
    if _language[0] == "en":
        return english
    found = catalogue().get(english)
    if found is None:
        _logger.warning("%s: no translation of %r", CATALOGUE.name, english, once=True)
        return english
    return found


def known(english: str) -> str:
    """Return a text out of data in the language of the build, as it is if it has no translation."""
    return english if _language[0] == "en" else catalogue().get(english, english)
