# SPDX-License-Identifier: Apache-2.0
"""What the built docs hold: every item of the knowledge base where reports say it is, in both languages."""

import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from vnetkb.kb.address import address, published
from vnetkb.kb.explain import Explainer, Explanation, drop_reasons
from vnetkb.kb.load import load_kb

pytestmark = pytest.mark.docs
LANGUAGES = ("en", "zh_CN")
KB = load_kb()


def inventory(file: Path) -> dict[tuple[str, str], str]:
    """Return what objects.inv names: for each kind and name the address."""
    raw = file.read_bytes()
    head, _, packed = raw.partition(b"zlib.\n")
    assert head.startswith(b"# Sphinx inventory version 2")
    found = {}
    for line in zlib.decompress(packed).decode().splitlines():
        name, kind, _priority, uri, _shown = re.fullmatch(r"(.+?) (\S+) (-?\d+) (\S+) (.*)", line).groups()  # type: ignore[union-attr]
        found[kind, name] = uri.replace("$", name)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_item_is_where_a_report_says_it_is(built: Path, language: str) -> None:
    known = inventory(built / language / "objects.inv")
    for kind, items in (
        ("counter", KB.counters),
        ("site", KB.sites),
        ("fact", KB.facts),
        ("rule", KB.rules),
        ("remedy", KB.remedies),
        ("capture", KB.captures),
        ("behaviour", KB.behaviours),
    ):
        for identity in items:
            area = KB.rules[identity].area if kind == "rule" else ""
            assert known[f"kb:{kind}", identity] == str(address(kind, identity, area))


def test_whatever_a_finding_can_be_about_has_a_place(built: Path) -> None:
    known = {address for (kind, _name), address in inventory(built / "en/objects.inv").items()}
    watched = {(each.subject, each.counter) for each in KB.symptoms.values()}
    assert len({subject for subject, _counter in watched}) > 10
    places = [published(KB, "counter", counter) for _subject, counter in sorted(watched)]
    places += [published(KB, "rule", rule.id) for rule in KB.rules.values()]
    assert [str(place) for place in places if str(place) not in known] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_address_is_an_anchor_of_its_page(built: Path, language: str) -> None:
    explainer = Explainer(KB)
    names = [*KB.counters, *KB.sites, *KB.rules, *KB.facts, *KB.remedies, *KB.captures, *KB.behaviours]
    names += drop_reasons(KB)
    anchors: dict[str, set[str]] = {}
    for name in names:
        found = explainer.explain(name)
        assert isinstance(found, Explanation), name
        assert found.reference is not None, name
        page = found.reference.page
        if page not in anchors:
            anchors[page] = set(re.findall(r' id="([^"]+)"', _html(built, language, page)))
        assert found.reference.anchor in anchors[page], str(found.reference)
    harm = _html(built, language, "reference/harm")
    assert all(f'id="{line.id}"' in harm for line in KB.harm)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_entry_of_the_inventory_leads_somewhere(built: Path, language: str) -> None:
    anchors: dict[str, set[str]] = {}
    lost = {}
    for entry, place in inventory(built / language / "objects.inv").items():
        page, _hash, anchor = place.partition("#")
        file = built / language / page
        if page not in anchors and file.is_file():
            anchors[page] = set(re.findall(r'\bid="([^"]+)"', file.read_text(encoding="utf-8")))
        if page not in anchors or (anchor and anchor not in anchors[page]):
            lost[entry] = place
    assert lost == {}


def _html(built: Path, language: str, page: str) -> str:
    return (built / language / f"{page}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_loaded_from_another_host(built: Path, language: str) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe|object|source|embed)\b[^>]*\b(?:src|href|data)=\"([^\"]+)\""
    )
    for file in (built / language).rglob("*.html"):
        for target in loads.findall(file.read_text(encoding="utf-8")):
            assert not target.startswith(("http:", "https:", "//")), f"{file}: {target}"
    for file in (built / language / "_static").rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text), file


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_within_the_docs_lead_somewhere(built: Path, language: str) -> None:
    anchors: dict[Path, set[str]] = {}
    for file in (built / language).rglob("*.html"):
        for target in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', file.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            place, _, anchor = target.partition("#")
            page = (file.parent / place.partition("?")[0]).resolve() if place else file
            assert page.is_file(), f"{file}: {target}"
            if anchor and page.suffix == ".html":
                if page not in anchors:
                    anchors[page] = set(re.findall(r' id="([^"]+)"', page.read_text(encoding="utf-8")))
                assert anchor in anchors[page], f"{file}: {target}"


def test_other_projects_can_link_to_an_item(built: Path, tmp_path: Path) -> None:
    inventory_file = built / "en" / "objects.inv"
    settings = {
        "extensions": ["myst_parser", "sphinx.ext.intersphinx"],
        "intersphinx_mapping": {"vnetkb": ("https://docs.example.org/en/", str(inventory_file))},
    }
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    (tmp_path / "conf.py").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "index.md").write_text(
        "# Runbook\n\n{external+vnetkb:ref}`rule:tap-ring-full` <inv:vnetkb:kb:counter#tap.tx_dropped>\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", ".", "out"]
    subprocess.run(command, cwd=tmp_path, check=True)
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    for place in ("rules/tap.html#tap-ring-full", "counters/tap.html#tap.tx_dropped"):
        assert f'href="https://docs.example.org/en/reference/{place}"' in page


def test_the_index_has_the_names_of_tools(built: Path) -> None:
    index = _html(built, "en", "genindex")
    for tool in ("ip -s link", "netstat -i", "ovs-vsctl list Interface", "node_exporter", "netstat -e"):
        assert tool in index
    assert 'href="reference/counters/tap.html#tap.tx_dropped"' in index


def test_a_counter_tells_its_sites_with_lines_by_kernel(built: Path) -> None:
    page = _html(built, "en", "reference/counters/tap")
    link = r'href="https://git\.kernel\.org/[^"]*/drivers/net/tun\.c\?h=v6\.1\.192#n\d+"[^>]*>6\.1\.192:\d+<'
    assert re.search(link, page)


def test_the_drawings_are_in_the_pages(built: Path) -> None:
    for page, says in (
        ("walk-through", "tun_net_xmit()"),
        ("walkthrough/02-from-ip-link-to-the-number", "dev_get_stats()"),
        ("walkthrough/04-the-ring", "txqueuelen"),
        ("walkthrough/09-telling-the-causes-apart", "tap-ring-vhost-starved"),
        ("reference/rules/tap", "tap-ring-guest-not-refilling"),
    ):
        drawings = re.findall(r'<svg role="img".*?</svg>', _html(built, "en", page), re.DOTALL)
        assert any(says in drawing for drawing in drawings), page
