# SPDX-License-Identifier: Apache-2.0
"""The built docs, and a browser that sees them."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import publish
from visiting import DESKTOP, Visit, open_page


@pytest.fixture(scope="session")
def built() -> Path:
    """Return the folder of the built docs, built now if they are not those of this tree."""
    if shutil.which("dot") is None:
        pytest.skip("the docs need Graphviz (apt install graphviz)")
    if not publish.is_current():
        assert publish.build() == 0
    return publish.BUILT


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args


@pytest.fixture(scope="session")
def site(built: Path) -> Iterator[str]:
    """Serve the docs on this machine and return their address, without a / at its end."""
    handler = functools.partial(_Quiet, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    """Yield a page of desktop size; what must not happen on it fails the test."""
    opened = open_page(browser, site, viewport=DESKTOP)
    yield opened
    opened.page.context.close()
    assert opened.complaints == []
