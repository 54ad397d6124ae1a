# SPDX-License-Identifier: Apache-2.0
"""`vnetkb docs`: the reference that came with the package, opened at a name, or a word that there is none."""

import webbrowser
from pathlib import Path

import pytest

from vnetkb import cli, paths


@pytest.fixture(name="built")
def built_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "docs_dir", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ([], "en/index.html"),
        (["--lang", "zh"], "zh_CN/index.html"),
        (["tap.tx_dropped"], "en/reference/counters/tap.html#tap.tx_dropped"),
        (["tap-ring-full", "--lang", "zh"], "zh_CN/reference/rules/tap.html#tap-ring-full"),
        (["netstat TX-DRP"], "en/reference/counters/tap.html#tap.tx_dropped"),
    ],
)
def test_it_opens_the_page_of_a_name_and_prints_its_address(
    built: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    place: str,
) -> None:
    opened: list[str] = []

    def note(uri: str) -> bool:
        opened.append(uri)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    assert cli.main(["docs", *arguments]) == 0
    assert opened == [f"{built.as_uri()}/{place}"]
    assert capsys.readouterr() == (f"{built.as_uri()}/{place}\n", "")


def test_without_a_browser_the_address_is_enough(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _uri: False)
    assert cli.main(["docs"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{built.as_uri()}/en/index.html\n"
    assert "no browser" in printed.err


def test_print_opens_nothing(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _uri: pytest.fail("it opened a browser"))
    assert cli.main(["docs", "--print"]) == 0
    assert capsys.readouterr().out == f"{built.as_uri()}/en/index.html\n"


@pytest.mark.usefixtures("built")
def test_an_unknown_name_says_what_is_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docs", "tap-ring-ful"]) == 2
    assert "tap-ring-full" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("packaged", "remedy"), [(True, "run make docs, then pip install . again"), (False, "run make docs (")]
)
def test_a_package_without_the_docs_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, packaged: bool, remedy: str
) -> None:
    monkeypatch.setattr(paths, "docs_dir", lambda: None)
    monkeypatch.setattr(paths, "is_packaged", lambda: packaged)
    assert cli.main(["docs"]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert "vnetkb explain NAME tells" in said
    assert cli.main(["docs", "netstat TX-DRP"]) == 2
    assert "vnetkb explain 'netstat TX-DRP' tells" in capsys.readouterr().err
