# SPDX-License-Identifier: Apache-2.0
"""The runner behind make: `nox -l` lists the sessions.

The sessions run the tools of the virtual environment that nox itself runs in (.venv, made by `make venv`), so
nothing is installed twice.
"""

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]

PYTHON_CODE = ("analyzer", "tools", "tests", "docs/_ext", "docs/conf.py", "noxfile.py")
POSIX_CODE = (
    "collectors/host/vnetkb-collect",
    "collectors/guest-linux/vnetkb-guest",
    "tools/make-venv",
    "tools/kernel-sources",
)
BASH_CODE = (".ci/run",)
SHELL_STYLE = ("-i", "2", "-ci")


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test, in two processes; arguments after -- go to pytest (-n 0: in one)."""
    session.run("pytest", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run every test, in one process, and tell which lines none of them reached."""
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, shell scripts and the knowledge base."""
    session.run("ruff", "check", *PYTHON_CODE)
    session.run("ruff", "format", "--check", *PYTHON_CODE)
    session.run("mypy")
    session.run("shellcheck", *POSIX_CODE, *BASH_CODE)
    session.run("shfmt", "-p", *SHELL_STYLE, "-d", *POSIX_CODE)
    session.run("shfmt", *SHELL_STYLE, "-d", *BASH_CODE)
    session.run("vnetkb", "kb", "lint")


@nox.session(name="format")
def format_code(session: nox.Session) -> None:
    """Rewrite the code as the formatters want it."""
    session.run("ruff", "check", "--fix", *PYTHON_CODE)
    session.run("ruff", "format", *PYTHON_CODE)
    session.run("shfmt", "-p", *SHELL_STYLE, "-w", *POSIX_CODE)
    session.run("shfmt", *SHELL_STYLE, "-w", *BASH_CODE)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the budgets: CPU seconds and peak memory of the commands and of the collector."""
    session.run("python", "tools/bench.py", *session.posargs)


@nox.session
def repeat(session: nox.Session) -> None:
    """Play every real scenario ten times and print how often the verdict was right; arguments go to it."""
    session.run("python", "tests/real/repeat.py", *session.posargs)


@nox.session
def lab(session: nox.Session) -> None:
    """Judge every scenario on Debian's kernels in booted machines; arguments go to tests/lab/run.py."""
    session.run("python", "tests/lab/run.py", *session.posargs)
