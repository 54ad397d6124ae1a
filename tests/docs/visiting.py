# SPDX-License-Identifier: Apache-2.0
"""A page in a real browser, and what must not happen on it."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 800}


@dataclass
class Visit:
    """A page of the docs in the browser, and what must not happen on it.

    Attributes:
        page: The page.
        complaints: Console messages, errors of scripts, requests that leave this machine or fail.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self, site: str) -> None:
        def said(message: ConsoleMessage) -> None:
            self.complaints.append(f"console: {message.text} ({message.location['url']})")

        def asked(request: Request) -> None:
            if not request.url.startswith((site, "data:", "file:")):
                self.complaints.append(f"request: {request.url}")

        def failed(request: Request) -> None:
            # Leaving a page ends what it was still loading.
            if request.failure != "net::ERR_ABORTED":
                self.complaints.append(f"failed: {request.url}: {request.failure}")

        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", asked)
        self.page.on("requestfailed", failed)


def open_page(browser: Browser, site: str, **options: Any) -> Visit:  # noqa: ANN401 - the browser's own options
    """Return a new page that is watched; playwright's options, such as `viewport`, go through."""
    visit = Visit(browser.new_context(**options).new_page())
    visit.watch(site)
    return visit
