# SPDX-License-Identifier: Apache-2.0
"""HTML and Markdown: the answer, what it rests on, and names that stay text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.printable import printable
from vnetkb.report import as_markdown, view, words
from vnetkb.report.as_html import render_html
from vnetkb.report.as_markdown import render_markdown

KB = load_kb()
TREE = Path(__file__).resolve().parents[2]
STARVED = TREE / "tests/lab/bundles/vcpu-starved-6.1.tar.gz"
HOSTILE = "v<script>alert(1)\u202e\x1b[2J`@all`|#1 www.x.example"
SERIES = [(900, 100), (950, 160), (950, 268)]


def diagnosed(bundle: Path, *, every: bool = False) -> Diagnosis:
    return diagnose(build(read_bundle(bundle), KB), KB, every=every)


@pytest.fixture(scope="module")
def starved() -> Diagnosis:
    return diagnosed(STARVED)


@pytest.fixture
def hostile(tmp_path: Path) -> Diagnosis:
    stats = "Domain: '{vm}'\n  state.state=1\n  state.reason=1\n  net.count=1\n  net.0.name={tap}\n\n".format(
        vm='"><img src=http://x.example/a.png onerror=alert(2)>', tap=HOSTILE
    )
    host = Host(
        [Device(HOSTILE, (100, 268), (900, 950), tx_queue_len=(0, 0), series=SERIES)],
        name="n'\"><svg onload=alert(3)>&{{7*7}}${7*7}",
        captures={"host/0/virsh-domstats": stats, "host/1/virsh-domstats": stats},
    )
    return diagnosed(host.write(tmp_path))


class Elements(HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_is_well_formed_and_loads_nothing(starved: Diagnosis) -> None:
    page = render_html(starved)
    elements = Elements(page)
    assert elements.open == []
    tags = {tag for tag, _ in elements.found}
    assert tags.isdisjoint(
        {"script", "link", "img", "iframe", "object", "form", "a", "base", "foreignobject"}
    )
    for _, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.keys().isdisjoint({"src", "href", "xlink:href", "style", "action"})
    policy = [a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert not re.search(r"url\((?!#)|@import|https?:", page)


def test_the_answer_comes_first(starved: Diagnosis) -> None:
    text = Elements(render_html(starved)).text
    (finding,) = starved.findings
    assert finding.cause is not None
    order = [
        words.summary(starved),
        words.whom(finding),
        words.symptom(finding),
        finding.cause.id,
        finding.sites[0].function,
        finding.harm_reason,
        finding.remedies[0].text,
        "The packet's path",
        "Over time",
        finding.candidates[0].evidence[0].text,
        "Other causes",
        "What to collect next",
        starved.bundle_sha256,
    ]
    places = [text.index(" ".join(part.split())) for part in order]
    assert places == sorted(places)


def test_every_candidate_with_its_evidence_is_on_the_page(starved: Diagnosis) -> None:
    html, markdown = Elements(render_html(starved)).text, render_markdown(starved)
    for candidate in starved.findings[0].candidates:
        assert candidate.rule.id in html
        assert candidate.rule.id in markdown
        for evidence in candidate.evidence:
            assert " ".join(evidence.text.split()) in html
            assert as_markdown.text(evidence.text) in markdown


def test_a_remedy_has_its_terms(starved: Diagnosis) -> None:
    (finding,) = starved.findings
    for text in (Elements(render_html(starved)).text, render_markdown(starved)):
        for applied in finding.remedies:
            for said in (applied.remedy.costs, applied.remedy.helps, applied.check, applied.undo):
                assert " ".join(said.split()) in text or as_markdown.text(said) in text


def test_the_losing_segment_is_marked_once_and_counted(starved: Diagnosis) -> None:
    page = render_html(starved)
    picture, lost = starved.findings[0].picture, starved.findings[0].symptom.delta
    assert picture is not None
    assert picture.path is not None
    assert lost == picture.path.lost
    said = words.lost_here(picture.path)
    assert page.count(f">{said}<") == 2  # one drawing for a screen, one for a phone
    assert page.count('class="arrow losing"') == 4  # the segment and where its packets go, in each
    assert f"**{said}**" in render_markdown(starved)


def test_a_hostile_name_is_text_in_html(hostile: Diagnosis) -> None:
    page = render_html(hostile)
    elements = Elements(page)
    assert {tag for tag, _ in elements.found}.isdisjoint({"script", "img", "iframe"})
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert "<script>alert(1)\\u202e\\x1b[2J" in elements.text
    assert "{{7*7}}${7*7}" in elements.text
    assert page == printable(page)


def test_a_hostile_name_is_text_in_markdown(hostile: Diagnosis) -> None:
    page = render_markdown(hostile)
    assert page == printable(page)
    outside = re.sub(r"(?ms)^ *(`{3,})[^\n]*\n.*?^ *\1$", "", page)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    outside = re.sub(r"\\.", "", outside)
    assert "<" not in outside
    assert not re.search(r"@\w|#\d|://|www\.|!\[|\]\(", outside)


LINE = st.text(st.characters(exclude_categories=()), max_size=40)


@given(said=LINE)
def test_text_in_markdown_stays_on_its_line_and_makes_no_markup(said: str) -> None:
    made = as_markdown.text(said)
    assert "\n" not in made
    assert "\r" not in made
    bare = re.sub(r"\\.", "", re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", made))
    assert not re.search(r"[`*_\[\]<>|&~]", bare)


@given(said=LINE)
def test_a_code_span_ends_where_it_is_meant_to(said: str) -> None:
    made = as_markdown.code(said)
    fence = re.match("`+", made)
    assert fence is not None
    inside = made[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)
    assert "\n" not in made
    assert "|" not in made


def test_many_findings_are_shortened_and_that_is_said(tmp_path: Path) -> None:
    count = view.DETAILED + 3
    taps = [
        Device(f"vnet{n}", (0, 10 + n), (0, 100), ifindex=(n + 2, n + 2), tx_queue_len=(0, 0))
        for n in range(count)
    ]
    found = diagnosed(Host(taps).write(tmp_path))
    page = view.page(found, every=False)
    assert len(page.findings) == count
    assert [f.detailed for f in page.findings].count(False) == 3
    assert page.shortened is not None
    assert "--all" in page.shortened
    assert all(f.why and f.remedies for f in page.findings)
    assert view.page(found, every=True).shortened is None


def test_no_loss_and_one_snapshot_make_pages_too(tmp_path: Path) -> None:
    quiet = diagnosed(Host([Device("vnet3")]).write(tmp_path))
    assert "0 harmful" in render_html(quiet)
    assert "0 harmful" in render_markdown(quiet)
    (tmp_path / "one").mkdir()
    one = diagnosed(Host([Device("vnet3", (5, 5), (9, 9))], snapshots=1).write(tmp_path / "one"))
    assert "whether it still rises is not known" in render_html(one)
    assert "not known" in render_markdown(one)
