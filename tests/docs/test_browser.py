# SPDX-License-Identifier: Apache-2.0
"""The docs in a real browser, as readers use them, in both languages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from visiting import DESKTOP, PHONE, Visit, open_page
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report import render_json, render_text
from vnetkb.report.as_html import render_html
from vnetkb.report.as_markdown import render_markdown
from vnetkb_docs import search

pytestmark = pytest.mark.docs
TREE = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"reference/[\w/-]+\.html#[\w.-]+")

# What people type, the address that answers it, and among how many of the first results it is at least.
SEARCHES = {
    "en": [
        ("tap tx drop", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("vnet packet loss", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("dropped vs overrun", "explanation/dropped-or-overrun.html#dropped-vs-overrun", 1),
        ("txqueuelen", "reference/remedies.html#raise-txqueuelen", 3),
        ("rx_nohandler", "reference/counters/nic.html#nic.rx_nohandler", 1),
        ("tun_net_xmit", "walkthrough/03-tun-net-xmit.html", 1),
        ("ring full", "reference/rules/tap.html#tap-ring-full", 1),
        ("netstat TX-DRP", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("windows netstat -e discards", "reference/tools/windows.html#tool-netstat-e", 5),
        ("node_exporter", "reference/tools/monitoring.html#tool-node-exporter", 1),
        ("softnet_stat squeezed", "reference/counters/softnet.html#softnet.time_squeeze", 1),
        ("write a rule", "how-to/write-a-rule.html", 1),
        ("SKB_DROP_REASON_FULL_RING", "reference/drop-reasons.html#SKB_DROP_REASON_FULL_RING", 1),
        ("encrypt upload", "how-to/mask-encrypt-send.html", 1),
        ("guest agent", "how-to/collect-in-a-linux-guest.html", 1),
        ("exit code", "how-to/read-a-report.html#for-programs", 1),
        ("misconceptions", "myths.html", 1),
        ("ring buffer", "walkthrough/04-the-ring.html", 2),
    ],
    "zh_CN": [
        ("vnet 丢包", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("环形队列满", "reference/rules/tap.html#tap-ring-full", 1),
        ("连接跟踪表满", "reference/rules/host.html#conntrack-full", 1),
        ("tap tx drop", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("dropped vs overrun", "explanation/dropped-or-overrun.html#dropped-vs-overrun", 1),
        ("txqueuelen", "reference/remedies.html#raise-txqueuelen", 3),
        ("rx_nohandler", "reference/counters/nic.html#nic.rx_nohandler", 1),
        ("编写规则", "how-to/write-a-rule.html", 1),
        ("在客户的宿主机上采集", "how-to/collect-on-a-host.html", 1),
        ("丢包还是溢出", "explanation/dropped-or-overrun.html", 1),
        ("告警阈值", "how-to/set-an-alarm.html#use-a-threshold-with-a-reason", 1),
        ("按工具查找", "reference/tools/index.html", 1),
        ("tun_net_xmit", "walkthrough/03-tun-net-xmit.html", 1),
        ("错误的说法", "myths.html", 1),
        ("脱敏", "how-to/mask-encrypt-send.html", 1),
        ("加密 上传", "how-to/mask-encrypt-send.html", 1),
        ("发送丢弃", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("接收丢弃", "reference/counters/tap.html#tap.rx_dropped", 1),
        ("虚拟机丢包", "reference/counters/tap.html#tap.tx_dropped", 1),
        ("退出码", "how-to/read-a-report.html#for-programs", 1),
        ("环形缓冲区", "walkthrough/04-the-ring.html", 1),
        ("丢包率", "how-to/set-an-alarm.html", 1),
        ("静默丢包", "walkthrough/08-where-nothing-counts.html", 1),
    ],
}
PAGES = (
    "index.html",
    "tutorial/first-answer.html",
    "how-to/collect-on-a-host.html",
    "how-to/collect-in-a-linux-guest.html",
    "how-to/mask-encrypt-send.html",
    "walkthrough/02-from-ip-link-to-the-number.html",
    "walkthrough/09-telling-the-causes-apart.html",
    "reference/counters/tap.html",
    "reference/rules/tap.html",
    "reference/tools/ip.html",
    "reference/sites/tun.html",
    "reference/coverage.html",
    "reference/cli.html",
    "reference/schemas/report.html",
    "explanation/dropped-or-overrun.html",
    "search.html?q=tap",
    "genindex.html",
)


@pytest.fixture(name="searched", scope="module", params=["en", "zh_CN"])
def search_page(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[tuple[str, Visit]]:
    opened = open_page(browser, site, viewport=DESKTOP)
    opened.page.goto(f"{site}/{request.param}/search.html")
    yield request.param, opened
    opened.page.context.close()
    assert opened.complaints == []


def test_searches_find_the_right_place(searched: tuple[str, Visit]) -> None:
    language, visit = searched
    wrong = {}
    for words, expected, among in SEARCHES[language]:
        visit.page.locator("#kb-search-words").fill(words)
        expect(visit.page.locator("#kb-search-state")).to_contain_text(f"“{words}”")
        found = visit.page.evaluate(
            "[...document.querySelectorAll('#kb-search-results a')].map(each => each.getAttribute('href'))"
        )
        if expected not in found[:among]:
            wrong[words] = found[:5]
    assert wrong == {}


def test_the_script_cuts_words_as_the_index_was_cut(searched: tuple[str, Visit]) -> None:
    _language, visit = searched
    texts = [
        "Drops, dropped, dropping!",
        "环形队列已满了",
        "包",
        "vnet 丢包",
        "vm-exit",
        "passes 过程",
        "TX-DRP",
    ]
    cut = f"texts => texts.map(text => terms(text, new Set(), /[{search.PARTICLES}]/g))"
    expected = [list(dict.fromkeys(search.terms(text))) for text in texts]
    assert visit.page.evaluate(cut, texts) == expected


def test_the_box_of_every_page_leads_to_the_search(visit: Visit, site: str) -> None:
    visit.page.goto(f"{site}/zh_CN/reference/counters/tap.html")
    box = visit.page.locator(".sidebar-search")
    box.fill("环形队列满")
    box.press("Enter")
    first = visit.page.locator("#kb-search-results a").first
    expect(first).to_have_attribute("href", "reference/rules/tap.html#tap-ring-full")


def test_a_result_leads_to_its_section(visit: Visit, site: str) -> None:
    visit.page.goto(f"{site}/en/search.html?q=tap+tx+drop")
    visit.page.locator("#kb-search-results a").first.click()
    assert visit.page.url == f"{site}/en/reference/counters/tap.html#tap.tx_dropped"
    expect(visit.page.locator("[id='tap.tx_dropped'] h2")).to_be_in_viewport()


def test_the_search_answers_while_one_types_and_says_when_there_is_nothing(visit: Visit, site: str) -> None:
    visit.page.goto(f"{site}/en/search.html")
    state = visit.page.locator("#kb-search-state")
    expect(state).to_contain_text("tap tx drop")
    visit.page.locator("#kb-search-words").fill("zzzqqq")
    expect(state).to_contain_text("Nothing found for “zzzqqq”")
    visit.page.locator("#kb-search-words").fill("<img src=x onerror=alert(1)>")
    expect(visit.page.locator("#kb-search-state img, #kb-search-results img")).to_have_count(0)


def test_the_language_switch_keeps_the_place(visit: Visit, site: str) -> None:
    visit.page.goto(f"{site}/en/reference/counters/tap.html#tap.rx_dropped")
    visit.page.locator(".kb-languages a").click()
    assert visit.page.url == f"{site}/zh_CN/reference/counters/tap.html#tap.rx_dropped"
    expect(visit.page.locator(".kb-languages [aria-current]")).to_have_text("中文")
    visit.page.locator(".kb-languages a").click()
    assert visit.page.url == f"{site}/en/reference/counters/tap.html#tap.rx_dropped"


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_one_can_walk_through_the_book(visit: Visit, site: str, language: str) -> None:
    page = visit.page
    page.goto(f"{site}/")
    page.wait_for_url(f"{site}/en/index.html")
    page.goto(f"{site}/{language}/index.html")
    page.locator(".sidebar-tree a[href='walk-through.html']").click()
    page.locator("article a[href^='walkthrough/01']").first.click()
    for chapter in sorted((TREE / "kb/walkthrough").glob("*.md")):
        page.wait_for_url(f"{site}/{language}/walkthrough/{chapter.stem}.html")
        page.locator("a.next-page").click()


@pytest.fixture(name="phone", scope="module")
def phone_sized(browser: Browser, site: str) -> Iterator[Visit]:
    opened = open_page(browser, site, viewport=PHONE, is_mobile=True, has_touch=True)
    yield opened
    opened.page.context.close()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_page_is_readable_on_a_phone(phone: Visit, site: str, language: str, page: str) -> None:
    phone.complaints.clear()
    phone.page.goto(f"{site}/{language}/{page}")
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert phone.page.evaluate(wider) <= 0
    size = "parseFloat(getComputedStyle(document.querySelector('article')).fontSize)"
    assert phone.page.evaluate(size) >= 14
    assert phone.complaints == []


def test_the_docs_work_as_files(browser: Browser, built: Path) -> None:
    start = (built / "en" / "index.html").as_uri()
    opened = open_page(browser, start)
    opened.page.goto(start)
    opened.page.locator(".sidebar-search").fill("rx_nohandler")
    opened.page.locator(".sidebar-search").press("Enter")
    expect(opened.page.locator("#kb-search-results a").first).to_contain_text("rx_nohandler")
    opened.page.locator("#kb-search-results a").first.click()
    expect(opened.page.locator("h2:has-text('rx_nohandler')").first).to_be_visible()
    opened.page.context.close()
    assert opened.complaints == []


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_letters_of_every_drawing_can_be_read_on_a_phone(
    phone: Visit, built: Path, site: str, language: str
) -> None:
    drawn = [
        page.relative_to(built).as_posix()
        for page in sorted((built / language).rglob("*.html"))
        if '<svg role="img"' in page.read_text(encoding="utf-8")
    ]
    assert len(drawn) > 5
    for page in drawn:
        phone.page.goto(f"{site}/{page}")
        # What a letter measures on the screen: its size times how far the drawing was shrunk.
        sizes = phone.page.evaluate(
            """[...document.querySelectorAll("svg[role=img] text")].map(
                each => parseFloat(getComputedStyle(each).fontSize) * each.getScreenCTM().a)"""
        )
        assert min(sizes) >= 11, page
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert phone.page.evaluate(wider) <= 0, page
        out_of_reach = phone.page.evaluate(
            """[...document.querySelectorAll("svg[role=img]")].filter(each =>
                each.getBoundingClientRect().right > innerWidth
                && getComputedStyle(each.parentElement).overflowX !== "auto").length"""
        )
        assert out_of_reach == 0, page


@pytest.fixture(name="linked", scope="module")
def places_that_reports_name(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """Return for each page of the reference the anchors that reports of the recorded bundles lead to."""
    file = tmp_path_factory.mktemp("reports") / "report.html"
    kb = load_kb()
    named: set[str] = set()
    for number, bundle in enumerate(sorted((TREE / "tests/lab/bundles").glob("*.tar.gz"))):
        diagnosis = diagnose(build(read_bundle(bundle), kb), kb, every=True)
        findings = json.loads(render_json(diagnosis))["findings"]
        in_json = {place for each in findings for place in each["reference"].values() if place}
        named |= in_json
        assert set(PLACE.findall(render_text(diagnosis))) == in_json
        if number % 8 == 0:
            assert set(PLACE.findall(render_markdown(diagnosis))) == in_json
            file.write_text(render_html(diagnosis), encoding="utf-8")
            page = browser.new_page()
            page.goto(file.as_uri())
            assert set(PLACE.findall(page.locator("body").inner_text())) == in_json
            page.close()
    found: dict[str, set[str]] = {}
    for place in named:
        page_name, _hash, anchor = place.partition("#")
        found.setdefault(page_name, set()).add(anchor)
    return found


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_place_that_a_report_names_is_there(
    visit: Visit, site: str, linked: dict[str, set[str]], language: str
) -> None:
    for page, anchors in sorted(linked.items()):
        for anchor in sorted(anchors):
            visit.page.goto(f"{site}/{language}/{page}#{anchor}")
            heading = visit.page.locator(":target > :is(h1, h2, h3)")
            expect(heading).to_contain_text(anchor)
            expect(heading).to_be_in_viewport()
