# SPDX-License-Identifier: Apache-2.0
"""Every number of a report is traced to a member of the bundle that is shown beside it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.bundle.archive import read_archive
from vnetkb.bundle.limits import DEFAULT_LIMITS
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report import document, render_text
from vnetkb.report.as_html import render_html
from vnetkb.report.as_markdown import render_markdown

KB = load_kb()
TREE = Path(__file__).resolve().parents[2]
BUNDLES = sorted((*TREE.glob("tests/lab/bundles/*.tar.gz"), *TREE.glob("tests/data/demo/*.tar.gz")))


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def told(request: pytest.FixtureRequest) -> tuple[Diagnosis, dict[str, list[str]]]:
    """Return a bundle's diagnosis, and its members as lines."""
    archive = read_archive(request.param, DEFAULT_LIMITS)
    members = {
        name: member.data.decode("utf-8", "surrogateescape").split("\n")
        for name, member in archive.members.items()
    }
    return diagnose(build(read_bundle(request.param), KB), KB, every=True), members


def sources(finding: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return every place of a finding in JSON that holds a number, with the members named beside it."""
    found = [("symptom", finding["symptom"]["captures"])]
    found += [(f"witness {w['name']}", w["captures"]) for w in finding["witnesses"] if w["value"] is not None]
    for candidate in finding["candidates"]:
        found += [(f"{candidate['rule']} {e['fact']}", e["captures"]) for e in candidate["evidence"]]
    if finding["path"] is not None:
        for point in finding["path"]["points"]:
            found += [(c["counter"], c["captures"]) for c in point["counts"] if c["value"] is not None]
    return found


def test_every_number_names_members_that_are_in_the_bundle(
    told: tuple[Diagnosis, dict[str, list[str]]],
) -> None:
    diagnosis, members = told
    for finding in document(diagnosis)["findings"]:
        for what, captures in sources(finding):
            assert captures, what
            assert [path for path in captures if path not in members] == [], what


def test_every_unknown_number_of_the_path_says_why(told: tuple[Diagnosis, dict[str, list[str]]]) -> None:
    diagnosis, _ = told
    for finding in document(diagnosis)["findings"]:
        for point in (finding["path"] or {"points": []})["points"]:
            for count in point["counts"]:
                assert (count["value"] is None) == bool(count["why_unknown"])


def test_every_quote_is_a_line_of_the_member(told: tuple[Diagnosis, dict[str, list[str]]]) -> None:
    diagnosis, members = told
    seen = 0
    for finding in diagnosis.findings:
        picture = finding.picture
        if picture is None:  # nothing is drawn of loss that no counter shows, nor of what is no tap
            assert finding.symptom.counter is None or finding.subject.kind != "tap"
            continue
        counter = finding.symptom.counter or ""
        rests_on = [(counter, finding.symptom.captures)]
        rests_on += [each for c in finding.candidates for e in c.evidence for each in e.rests_on]
        for fact, captures in rests_on:
            for path in captures:
                for quote in picture.quotes(path, fact):
                    line = members[quote.member][quote.line - 1]
                    assert quote.text.removeprefix("… ").removesuffix(" …") in line
                    seen += 1
        deltas = [line for path in finding.symptom.captures for line in picture.quotes(path, counter)]
        assert deltas or finding.subject.kind != "tap", "the symptom's own number is quoted"
    assert seen > 0 or not any(finding.subject.kind == "tap" for finding in diagnosis.findings)


def test_each_form_of_the_report_shows_the_members_of_the_symptom(
    told: tuple[Diagnosis, dict[str, list[str]]],
) -> None:
    diagnosis, _ = told
    for form in (render_text(diagnosis, every=True), render_html(diagnosis), render_markdown(diagnosis)):
        plain = " ".join(form.split())
        for finding in diagnosis.findings:
            for path in finding.symptom.captures:
                folder, _, name = path.rpartition("/")
                assert re.search(rf"{re.escape(folder)}[^\]<`]*{re.escape(name)}", plain)


def test_json_is_what_is_written(told: tuple[Diagnosis, dict[str, list[str]]]) -> None:
    diagnosis, _ = told
    assert json.loads(json.dumps(document(diagnosis))) == document(diagnosis)
