# SPDX-License-Identifier: Apache-2.0
"""Cited sites are held against source: a site removed, moved or added is told."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Literal

import pytest

from vnetkb import paths
from vnetkb.errors import EXIT_UNUSABLE_INPUT, UnusableInput
from vnetkb.kb import load, verify
from vnetkb.kb.model import KnowledgeBase
from vnetkb.kb.verified import SiteLines, load_lines
from vnetkb.kb.verify import CounterRow, VerifyCode
from vnetkb.kb.walkthrough import CodeReference, Where

HERE = Path(__file__).parent
OLD = HERE / "source/5.10.1"
NEW = HERE / "source/6.1.2"
BOX = "drivers/net/box.c"
FULL = "box.box_xmit.ring_full"
DETACHED = "box.box_xmit.detached"


@pytest.fixture
def kb() -> KnowledgeBase:
    return load.load_documents(list(load.read_folder(HERE / "small")))


def mutated(tmp_path: Path, source: Path, old: str, new: str) -> Path:
    tree = shutil.copytree(source, tmp_path / "linux")
    text = (tree / BOX).read_text(encoding="utf-8")
    assert old in text
    (tree / BOX).write_text(text.replace(old, new, 1), encoding="utf-8")
    return tree


def faults(kb: KnowledgeBase, source: Path) -> list[tuple[VerifyCode, str, str]]:
    return [(fault.code, fault.subject, fault.place) for fault in verify.verify(kb, source).faults]


def tarball(folder: Path, source: Path, mode: Literal["w:", "w:xz", "w:gz"]) -> Path:
    file = folder / "linux.tar"
    with tarfile.open(file, mode) as archive:
        archive.add(source, arcname="linux-source")
    return file


def test_the_sites_of_each_version_are_found_with_their_lines(kb: KnowledgeBase) -> None:
    old, new = verify.verify(kb, OLD), verify.verify(kb, NEW)
    assert (old.version, old.series, old.faults) == ("5.10.1", "5.10", ())
    assert (new.version, new.series, new.faults) == ("6.1.2", "6.1", ())
    assert old.sites == {FULL: SiteLines(18, {"tap.tx_dropped": 21}), DETACHED: SiteLines(15, {})}
    assert new.sites == {
        FULL: SiteLines(15, {"tap.tx_dropped": 16}),
        DETACHED: SiteLines(20, {"tap.tx_dropped": 22}),
    }
    assert old.counters == (CounterRow("tap.tx_dropped", 1, 0),)
    assert new.counters == (CounterRow("tap.tx_dropped", 2, 0),)


@pytest.mark.parametrize("mode", ["w:", "w:xz", "w:gz"])
def test_a_tarball_is_read_as_the_tree_is(
    kb: KnowledgeBase, tmp_path: Path, mode: Literal["w:", "w:xz", "w:gz"]
) -> None:
    assert verify.verify(kb, tarball(tmp_path, NEW, mode)) == verify.verify(kb, NEW)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("!box->ring", "!box->rings", (VerifyCode.STATEMENT_GONE, DETACHED, f"{BOX}:box_xmit()")),
        (
            "box_count_drop(box);",
            "box_count(box);",
            (VerifyCode.STATEMENT_GONE, DETACHED, f"{BOX}:box_xmit()"),
        ),
        ("ring_put(&box->ring, pkt)", "0", (VerifyCode.STATEMENT_GONE, FULL, f"{BOX}:box_xmit()")),
        ("return 0;", "if (!box->ring)\n\t\tgoto x;", (VerifyCode.AMBIGUOUS, DETACHED, f"{BOX}:box_xmit()")),
        ("\nbox_xmit(", "\nbox_send(", (VerifyCode.FUNCTION_GONE, FULL, f"{BOX}:box_xmit()")),
        ("return n;", "box_count_drop(box);", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8")),
        ("return n;", "box->stats.tx_dropped++;", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8")),
        ("return n;", "++box->stats.tx_dropped;", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8")),
        ("return n;", "box->tx_dropped += n;", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8")),
        ("return n;", "box->tx_dropped = n;", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8")),
        (
            "return n;",
            "this_cpu_inc(box->p->tx_dropped);",
            (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8"),
        ),
        (
            "return n;",
            "DEV_STATS_INC(box, tx_dropped);",
            (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8"),
        ),
        (
            "return n;",
            "if (n)\n\t\tatomic_long_add(n, &box->tx_dropped);",
            (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:9"),
        ),
        (
            "return n;",
            "WRITE_ONCE(box->tx_dropped, box->tx_dropped + n);",
            (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8"),
        ),
        (
            "return n;",
            "WRITE_ONCE(box->stats[0].tx_dropped, n);",
            (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:8"),
        ),
        ("return 0;", "box_count_drop(box);", (VerifyCode.UNCLAIMED, "tap.tx_dropped", f"{BOX}:25")),
    ],
)
def test_a_changed_source_is_told(
    kb: KnowledgeBase, tmp_path: Path, old: str, new: str, expected: tuple[VerifyCode, str, str]
) -> None:
    assert expected in faults(kb, mutated(tmp_path, NEW, old, new))


@pytest.mark.parametrize(
    "harmless",
    [
        "n = box->stats.tx_dropped;",
        "if (box->tx_dropped == n)\n\t\treturn 1;",
        "box->tx_dropped_by = n;",
        "WRITE_ONCE(box->seen, READ_ONCE(box->tx_dropped));",
        "my_count(box);",
    ],
)
def test_reading_a_counter_is_not_counting(kb: KnowledgeBase, tmp_path: Path, harmless: str) -> None:
    assert faults(kb, mutated(tmp_path, NEW, "return n;", harmless)) == []


def test_layout_and_comments_do_not_matter(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = mutated(tmp_path, NEW, "if (!box->ring) {", "if ( ! box->ring /* none */ )\n\t{")
    assert faults(kb, tree) == []


def test_a_file_that_is_gone_is_told(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = shutil.copytree(NEW, tmp_path / "linux")
    (tree / BOX).unlink()
    assert (VerifyCode.FILE_GONE, FULL, BOX) in faults(kb, tree)


def with_site(site: str, old: str, new: str) -> KnowledgeBase:
    documents = []
    for document in load.read_folder(HERE / "small"):
        data = json.loads(json.dumps(document.data))
        if document.path == "sites/box.yaml":
            data["sites"] = [
                json.loads(json.dumps(each).replace(old, new)) if each["id"] == site else each
                for each in data["sites"]
            ]
        documents.append(load.Document(document.path, data))
    return load.load_documents(documents)


def test_a_site_that_is_there_against_its_range_is_told() -> None:
    kb = with_site(FULL, '["5.10", "6.1"]', '["6.1"]')
    assert (VerifyCode.WRONG_RANGE, FULL, f"{BOX}:18") in faults(kb, OLD)
    assert faults(kb, NEW) == []


def test_a_move_that_is_there_against_its_range_is_told() -> None:
    kb = with_site(DETACHED, '"nth": 2}]', '"nth": 2}, {"text": "return -1;", "nth": 1}]')
    assert (VerifyCode.WRONG_RANGE, DETACHED, f"{BOX}:16") in faults(kb, OLD)


def test_a_move_that_is_claimed_too_early_is_told() -> None:
    kb = with_site(DETACHED, '], "kernels": ["6.1"]}]', '], "kernels": ["5.10", "6.1"]}]')
    assert (VerifyCode.STATEMENT_GONE, DETACHED, f"{BOX}:box_xmit()") in faults(kb, OLD)


def test_a_site_that_an_update_brought_may_be_missing_before_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = mutated(tmp_path, OLD, "!box->ring", "!box")
    assert faults(kb, tree) == [(VerifyCode.STATEMENT_GONE, DETACHED, f"{BOX}:box_xmit()")]
    since = with_site(DETACHED, '"between"', '"since": {"5.10": "5.10.20"}, "between"')
    assert faults(since, tree) == []
    assert verify.verify(since, OLD).sites.keys() == {FULL, DETACHED}


def test_an_unlisted_series_fails_only_on_unclaimed_counting(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = shutil.copytree(NEW, tmp_path / "linux")
    makefile = (tree / "Makefile").read_text(encoding="utf-8")
    (tree / "Makefile").write_text(makefile.replace("PATCHLEVEL = 1", "PATCHLEVEL = 6"), encoding="utf-8")
    result = verify.verify(kb, tree)
    assert (result.version, result.listed) == ("6.6.2", False)
    assert {fault.code for fault in result.faults} == {VerifyCode.UNCLAIMED}
    assert "no site lists 6.6" in verify.to_text(result)


def test_the_walkthroughs_references_are_checked(kb: KnowledgeBase) -> None:
    codes = [
        CodeReference(BOX, "box_xmit", (), Where("01-a.md", 3)),
        CodeReference(BOX, "box_send", (), Where("01-a.md", 4)),
        CodeReference("net/none.c", "f", (), Where("01-a.md", 5)),
        CodeReference(BOX, "box_xmit", ("5.10",), Where("01-a.md", 6)),
    ]
    told = [(fault.code, fault.subject) for fault in verify.verify(kb, NEW, codes).faults]
    assert told == [
        (VerifyCode.FUNCTION_GONE, "walkthrough/01-a.md:4"),
        (VerifyCode.FILE_GONE, "walkthrough/01-a.md:5"),
        (VerifyCode.WRONG_RANGE, "walkthrough/01-a.md:6"),
    ]


def test_the_text_tells_what_was_checked(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = mutated(tmp_path, NEW, "return n;", "box_count_drop(box);")
    lines = verify.to_text(verify.verify(kb, tree)).splitlines()
    assert lines[0] == "Linux 6.1.2: read 1 files with 3 functions"
    assert lines[1] == "sites: 2 found, 0 rightly not there"
    assert lines[3].split() == ["tap.tx_dropped", "2", "1"]
    assert lines[-1] == "1 fault"


def test_another_patch_level_is_told_with_how_far_it_differs(kb: KnowledgeBase, tmp_path: Path) -> None:
    tree = mutated(tmp_path, NEW, "return n;", "box_count_drop(box);")
    result = verify.verify(kb, tree)
    first = next(iter(result.sites))
    same = dict(result.sites)
    older = {**same, first: SiteLines(same[first].line + 7, {}), "a.site.gone": SiteLines(1, {})}

    lines = verify.to_text(result, {"6.1.1": older, "5.10.1": older}).splitlines()
    assert (
        "the claims for 6.1 were read in 6.1.1: 1 of 2 sites stand at another line here, 1 more are not here"
        in lines
    )
    assert "a fault may only mean that an update between 6.1.1 and 6.1.2 changed that code" in lines
    assert "were read in" not in verify.to_text(result, {"6.1.2": older, "5.10.1": older})


@pytest.mark.parametrize("content", [b"", b"no archive", b"\xfd7zXZ\x00 not really"])
def test_what_is_no_archive_is_refused(kb: KnowledgeBase, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "linux.tar.xz"
    file.write_bytes(content)
    with pytest.raises(UnusableInput, match=r"linux\.tar\.xz") as told:
        verify.verify(kb, file)
    assert told.value.exit_status == EXIT_UNUSABLE_INPUT


def test_a_cut_tarball_is_refused(kb: KnowledgeBase, tmp_path: Path) -> None:
    whole = tarball(tmp_path, NEW, "w:xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnusableInput):
        verify.verify(kb, tmp_path / "cut.tar.xz")


def test_a_folder_without_a_kernels_makefile_is_refused(kb: KnowledgeBase, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no kernel version"):
        verify.verify(kb, tmp_path)
    (tmp_path / "Makefile").write_text("all:\n", encoding="utf-8")
    with pytest.raises(UnusableInput, match="no kernel version"):
        verify.verify(kb, tmp_path)


def test_a_missing_source_is_refused(kb: KnowledgeBase, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="nothing-here"):
        verify.verify(kb, tmp_path / "nothing-here")


def test_only_plain_files_of_the_wanted_names_are_read(kb: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "odd.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(NEW / "Makefile", arcname="linux/Makefile")
        link = tarfile.TarInfo(f"linux/{BOX}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        other = tarfile.TarInfo("linux/huge")
        other.size = 8
        archive.addfile(other, io.BytesIO(b"01234567"))
    result = verify.verify(kb, file)
    assert result.files == ()
    assert {fault.code for fault in result.faults} == {VerifyCode.FILE_GONE}


def test_a_result_is_kept_one_a_series_and_read_back(kb: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "verified").mkdir()
    (tmp_path / "verified/6.1.1.json").write_text("{}", encoding="utf-8")
    result = verify.verify(kb, NEW)
    assert verify.write_result(tmp_path, kb, result) == tmp_path / "verified/6.1.2.json"
    assert [file.name for file in (tmp_path / "verified").iterdir()] == ["6.1.2.json"]
    assert load_lines(tmp_path) == {"6.1.2": result.sites}


def test_a_kept_result_goes_stale_with_the_claims(kb: KnowledgeBase, tmp_path: Path) -> None:
    verify.write_result(tmp_path, kb, verify.verify(kb, OLD))
    assert verify.stale_results(tmp_path, kb) == ["no result for 6.1, run kb verify"]
    verify.write_result(tmp_path, kb, verify.verify(kb, NEW))
    assert verify.stale_results(tmp_path, kb) == []
    changed = with_site(DETACHED, "!box->ring", "!box->rings")
    assert verify.stale_results(tmp_path, changed) == [
        "verified/5.10.1.json: made with other claims, run kb verify again",
        "verified/6.1.2.json: made with other claims, run kb verify again",
    ]


def test_words_may_change_without_a_new_verification(kb: KnowledgeBase) -> None:
    reworded = with_site(DETACHED, "No ring is there", "There is no ring")
    assert verify.digest(reworded) == verify.digest(kb)


def test_our_own_kept_results_are_fresh_and_complete() -> None:
    kb = load.load_kb()
    assert verify.stale_results(paths.kb_dir(), kb) == []
    kept = [json.loads(file.read_bytes()) for file in sorted((paths.kb_dir() / "verified").glob("*.json"))]
    assert {".".join(each["version"].split(".")[:2]) for each in kept} == {"5.10", "6.1", "6.12", "7.2"}
    for each in kept:
        assert {row["unclaimed"] for row in each["counters"].values()} == {0}
