# SPDX-License-Identifier: Apache-2.0
"""The HTML report in a real Chromium: nothing leaves the file, its policy holds, every width has room."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_html import render_html

LACKING = [name for name in ("chromium", "pdftotext") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KB = load_kb()
BUNDLES = Path(__file__).resolve().parents[1] / "lab" / "bundles"
HOSTILE_TAP = "v<img src=x onerror=document.title=1>'\"`\u202e"
HOSTILE_VM = "</style></svg><script>document.title='owned'</script><img src=http://192.0.2.1/vm.png>"
HOSTILE_HOST = '"><iframe src="http://192.0.2.1/host"></iframe><base href=http://192.0.2.1/>'


def render(bundle: Path, target: Path) -> Path:
    target.write_text(render_html(diagnose(build(read_bundle(bundle), KB), KB)), encoding="utf-8")
    return target


def hostile_bundle(folder: Path) -> Path:
    stats = f"Domain: '{HOSTILE_VM}'\n  state.state=1\n  net.count=1\n  net.0.name={HOSTILE_TAP}\n\n"
    series = [(900 + 50 * k, 100 + 40 * k) for k in range(8)]
    host = Host(
        [Device(HOSTILE_TAP, (100, 268), (900, 1400), series=series)],
        name=HOSTILE_HOST,
        captures={"host/0/virsh-domstats": stats, "host/1/virsh-domstats": stats},
        file_name="node7",
    )
    return host.write(folder)


class Watched:
    """A page with everything that it asked for and said."""

    def __init__(
        self,
        browser: Browser,
        file: Path,
        **options: Any,  # noqa: ANN401 - as playwright has them
    ) -> None:
        self.page = browser.new_page(**options)
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(file.as_uri())


@pytest.fixture(params=["recorded", "hostile"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    bundle = hostile_bundle(tmp_path) if request.param == "hostile" else BUNDLES / "vcpu-starved-6.1.tar.gz"
    return render(bundle, tmp_path / "report.html")


def test_nothing_is_asked_for_and_nothing_is_said(browser: Browser, report: Path) -> None:
    watched = Watched(browser, report)
    watched.page.wait_for_timeout(200)
    assert watched.requests == [report.as_uri()]
    assert watched.said == []
    assert watched.page.title().startswith("Packet loss report")
    assert watched.page.locator("script, img, iframe, base").count() == 0


def test_the_policy_stops_what_would_get_in(browser: Browser, report: Path) -> None:
    watched = Watched(browser, report)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.5)
    stopped = watched.page.evaluate(
        """place => new Promise(resolve => {
            const found = [];
            document.addEventListener('securitypolicyviolation', event => {
                found.push(event.effectiveDirective);
                if (found.length === 3) resolve(found.sort());
            });
            const script = document.createElement('script');
            script.textContent = 'document.title = "owned"';
            const image = document.createElement('img');
            image.src = place;
            document.body.append(script, image);
            fetch(place).catch(() => {});
        })""",
        f"http://127.0.0.1:{listener.getsockname()[1]}/",
    )
    with listener, pytest.raises(TimeoutError):
        listener.accept()
    assert stopped == ["connect-src", "img-src", "script-src-elem"]
    assert watched.page.title().startswith("Packet loss report")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_scrolls_sideways_and_one_drawing_shows(browser: Browser, report: Path, width: int) -> None:
    page = Watched(browser, report, viewport={"width": width, "height": 800}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = [drawing for drawing in page.locator("svg.path").all() if drawing.is_visible()]
    assert len(shown) == 1
    assert shown[0].get_attribute("class") == ("path tall" if width < 700 else "path wide")


def test_no_text_of_a_drawing_leaves_its_box(browser: Browser, report: Path) -> None:
    page = Watched(browser, report, viewport={"width": 1280, "height": 800}).page
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg.path.wide')].flatMap(drawing => {
            const boxes = [...drawing.querySelectorAll('rect')].map(box => box.getBoundingClientRect());
            return [...drawing.querySelectorAll('text.name, text.kind, text.detail')]
                .filter(text => { const at = text.getBoundingClientRect();
                    return !boxes.some(box => at.left >= box.left && at.right <= box.right); })
                .map(text => text.textContent);
        })"""
    )
    assert outside == []


def test_light_and_dark_are_both_readable(browser: Browser, report: Path) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page = Watched(browser, report, color_scheme=scheme).page
        colours = page.evaluate(
            "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]; }"
        )
        ground, ink = ([int(part) for part in each[4:-1].split(",")[:3]] for each in colours)
        grounds[scheme] = sum(ground)
        assert abs(sum(ground) - sum(ink)) > 450
    assert grounds["light"] > grounds["dark"] + 450


def test_paper_has_all_of_it(browser: Browser, report: Path, tmp_path: Path) -> None:
    page = Watched(browser, report).page
    everything = page.locator(".id").all_text_contents()
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    printed = "".join(done.stdout.split())
    assert len(set(everything)) > 10
    assert [name for name in everything if name not in printed] == []
