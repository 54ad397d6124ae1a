# SPDX-License-Identifier: Apache-2.0
"""Build the docs in both languages into build/docs/, or serve what was built.

Each language is a build of its own; both run at once. Beside them lies `inputs.sha256`, by which the
wheel's build hook knows that the docs are those of the tree it packs.
"""

import argparse
import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
BUILT = TREE / "build" / "docs"
LANGUAGES = {"en": "English", "zh_CN": "中文"}
STAMP = "inputs.sha256"
INPUTS = ("docs", "kb", "schemas", "analyzer/vnetkb", "collectors", "tests/lab/bundles", "tests/data")
PORT = 8000
MOST_S = 120
"""What a build may take, in seconds of the clock."""

START = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vnetkb</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url=en/index.html">
<p><a href="en/index.html">English</a> · <a href="zh_CN/index.html" lang="zh-CN">中文</a></p>
"""


def digest() -> str:
    """Return the SHA-256 of everything that the docs are made from, as 64 hexadecimal digits.

    What the build itself writes into `docs/` is left out: it is made from the rest.
    """
    whole = hashlib.sha256()
    for file in sorted(file for folder in INPUTS for file in (TREE / folder).rglob("*") if file.is_file()):
        name = file.relative_to(TREE).as_posix()
        if _is_made(name):
            continue
        whole.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _is_made(name: str) -> bool:
    folders = ("docs/reference/", "docs/walkthrough/")
    made = name.startswith(folders) and name.count("/") > 1 + name.startswith("docs/reference/")
    return made or "/__pycache__/" in name or name.endswith((".pyc", ".mo"))


def is_current() -> bool:
    """Tell whether the built docs are those of this tree."""
    stamp = BUILT / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii").strip() == digest()


def published() -> Iterator[Path]:
    """Yield the files of the built docs that a reader needs."""
    yield BUILT / "index.html"
    for language in LANGUAGES:
        for file in sorted((BUILT / language).rglob("*")):
            if file.is_file() and file.name != ".buildinfo" and file.suffix != ".map":
                yield file


def build() -> int:
    """Build every language and return the exit status: 0, or 1 if one of them has a warning."""
    started = time.monotonic()
    of = digest()
    (BUILT / STAMP).unlink(missing_ok=True)
    running = {language: _start(language) for language in LANGUAGES}
    failed = [language for language, process in running.items() if process.wait() != 0]
    if failed:
        print(f"docs: {', '.join(failed)} failed", file=sys.stderr)
        return 1
    (BUILT / "index.html").write_text(START, encoding="utf-8")
    (BUILT / STAMP).write_text(of + "\n", encoding="ascii")
    cpu, took = os.times(), time.monotonic() - started
    used = f"{cpu.children_user + cpu.children_system:.0f} s of CPU"
    print(f"docs: {BUILT / 'index.html'}, {took:.0f} s of the {MOST_S} s that it may take, {used}")
    if took > MOST_S:
        print(f"docs: WARNING: the build took {took:.0f} s, more than {MOST_S} s", file=sys.stderr)
    return 0


def _start(language: str) -> subprocess.Popen[bytes]:
    target = BUILT / language
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-n", "-W", "--keep-going", "-b", "html"]
    command += ["-D", f"language={language}", "-d", str(BUILT / ".doctrees" / language)]
    return subprocess.Popen([*command, str(TREE / "docs"), str(target)], cwd=TREE)


def catalogue() -> int:
    """Bring the catalogues of the pages that are written by hand up to date and return the exit status."""
    sys.path.insert(0, str(TREE / "docs" / "_ext"))
    sys.path.insert(0, str(TREE / "analyzer"))
    from vnetkb_docs.translated import is_by_hand  # noqa: PLC0415 - only now on the path

    texts = TREE / "build" / "docs-texts"
    shutil.rmtree(texts, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-b",
        "gettext",
        "-d",
        str(BUILT / ".doctrees" / "texts"),
    ]
    subprocess.run([*command, str(TREE / "docs"), str(texts)], cwd=TREE, check=True)
    for file in sorted(texts.rglob("*.pot")):
        name = file.relative_to(texts).with_suffix("").as_posix()
        if name == "sphinx" or not is_by_hand(name):
            file.unlink()
    command = [sys.executable, "-m", "sphinx_intl", "update", "--line-width", "110", "--no-obsolete"]
    command += ["-p", str(texts), "-l", "zh_CN", "-d", str(TREE / "docs" / "locale")]
    return subprocess.run(command, cwd=TREE, check=False).returncode


def serve(port: int) -> None:
    """Serve the built docs on this machine until interrupted."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(BUILT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"docs: http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main() -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("build", "catalogue", "serve"))
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--fresh", action="store_true", help="build even if nothing has changed")
    asked = parser.parse_args()
    if asked.what == "build" and is_current() and not asked.fresh:
        print(f"docs: {BUILT / 'index.html'} is up to date")
        return 0
    if asked.what == "build":
        return build()
    if asked.what == "catalogue":
        return catalogue()
    if not (BUILT / "index.html").is_file():
        print("docs: nothing was built yet: make docs", file=sys.stderr)
        return 1
    serve(asked.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
