# SPDX-License-Identifier: Apache-2.0
"""Sending bundles to real servers on loopback: nginx with WebDAV, sftp; killed in the middle, too."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import QUICK, SHELLS, FakeHost, Outcome, rich_host

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is not installed")
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None,
    reason="NOT TESTED: nginx is not installed",
)
DASH = SHELLS["dash"]
SECRET = "s1gn4ture-of-a-store"  # noqa: S105  # no real one
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}/temp; client_max_body_size 100m;
  proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  server {{
    listen 127.0.0.1:{port}; root {folder}/dav; {more}
    location / {{ dav_methods PUT; create_full_put_path on; {rules} }}
  }}
}}
"""


class Server:
    """An nginx of our own."""

    def __init__(self, folder: Path, rules: str = "", more: str = "") -> None:
        self.folder = folder
        for name in ("dav", "temp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
        self.config = folder / "nginx.conf"
        self.config.write_text(
            CONFIG.format(folder=folder, port=self.port, rules=rules, more=more, user=user), encoding="utf-8"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [
            "nginx",
            "-c",
            str(self.config),
            "-p",
            str(self.folder),
            "-e",
            str(self.folder / "error.log"),
        ]
        self.process = subprocess.Popen(
            words, env={"PATH": f"{os.environ['PATH']}:/usr/sbin"}, process_group=0, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server does not start")


@contextmanager
def served(folder: Path, rules: str = "", more: str = "") -> Iterator[Server]:
    server = Server(folder, rules, more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return rich_host(tmp_path)


def send(host: FakeHost, url: str, *options: str, **environment: str) -> Outcome:
    return host.run(
        DASH, *QUICK, "--snapshots", "1", "--upload", url, *options,
        env={"VNETKB_UPLOAD_PAUSE_CS": "5", "HOME": str(host.out), **environment},
    )  # fmt: skip


def assert_same(here: Path, there: Path) -> None:
    assert hashlib.sha256(there.read_bytes()).digest() == hashlib.sha256(here.read_bytes()).digest()


@needs_nginx
def test_it_arrives_and_is_read_back(host: FakeHost, tmp_path: Path) -> None:
    with served(tmp_path / "server") as server:
        outcome = send(host, f"{server.url}case-7/")

    assert outcome.returncode == 0, outcome.stderr
    path = outcome.bundle.path
    assert_same(path, server.folder / "dav" / "case-7" / path.name)
    assert "read back, its sha256 is right" in outcome.stderr


@needs_nginx
def test_a_store_that_lets_nobody_read(host: FakeHost, tmp_path: Path) -> None:
    with served(tmp_path / "server", "limit_except PUT { deny all; }") as server:
        outcome = send(host, f"{server.url}one.tar.gz")

    assert outcome.returncode == 0, outcome.stderr
    assert_same(outcome.bundle.path, server.folder / "dav" / "one.tar.gz")
    assert "lets nobody look at it" in outcome.stderr


@needs_nginx
def test_a_server_killed_in_the_middle(host: FakeHost, tmp_path: Path) -> None:
    # Much that does not pack, and little a second: the transfer takes long enough to be cut.
    host.file("proc/pressure/io", os.urandom(1_500_000).hex() + "\n")
    server = Server(tmp_path / "server")
    server.start()
    run = subprocess.Popen(
        [*host.words(DASH, *QUICK, "--snapshots", "1", "--upload", f"{server.url}big.tar.gz")],
        env=host.environment(VNETKB_UPLOAD_PAUSE_CS="50", CURL_HOME=str(limited(tmp_path))),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not any((server.folder / "temp").rglob("*[0-9]")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        server.stop()
        assert not (server.folder / "dav" / "big.tar.gz").exists(), "it was killed too late"
        time.sleep(0.3)
        server.start()
        out, error = run.communicate(timeout=120)
    finally:
        server.stop()
        run.kill()

    assert run.returncode == 0, error
    assert "try 1 of 5" in error
    assert_same(Path(out.strip()), server.folder / "dav" / "big.tar.gz")


def limited(folder: Path) -> Path:
    """Return a folder whose curl settings make transfers slow."""
    (folder / ".curlrc").write_text("limit-rate = 1M\n", encoding="ascii")
    return folder


def test_a_server_that_is_not_there(host: FakeHost) -> None:
    outcome = send(host, "http://127.0.0.1:1/x.tar.gz")

    assert outcome.returncode == 3
    path = Path(outcome.stdout.strip())
    assert path.exists()
    assert "it is kept here" in outcome.stderr
    assert [each.name for each in host.out.iterdir()] == [path.name]


@needs_nginx
def test_a_refusal_is_not_tried_again(host: FakeHost, tmp_path: Path) -> None:
    with served(tmp_path / "server", "deny all;") as server:
        outcome = send(host, f"{server.url}x?signature={SECRET}")

    assert outcome.returncode == 3
    assert "refused it with status 403" in outcome.stderr
    assert "try 2" not in outcome.stderr
    assert SECRET not in outcome.stderr


@needs_nginx
def test_what_is_secret_stands_in_no_arguments_no_log_and_no_bundle(host: FakeHost, tmp_path: Path) -> None:
    password = "hunter2-of-the-store"  # noqa: S105  # no real one
    users = tmp_path / "users"
    users.write_text(f"jdoe:{{PLAIN}}{password}\n", encoding="ascii")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login jdoe password {password}\n", encoding="ascii")
    netrc.chmod(0o600)
    curl = shutil.which("curl")
    host.command("curl", f'exec {curl} "$@"')
    with served(tmp_path / "server", f"auth_basic x; auth_basic_user_file {users};") as server:
        address = tmp_path / "address"
        address.write_text(f"{server.url}x.tar.gz?signature={SECRET}\n", encoding="ascii")
        outcome = send(
            host, f"@{address}", VNETKB_NETRC=str(netrc), VNETKB_UPLOAD_HEADER=f"x-token: {SECRET}"
        )

    assert outcome.returncode == 0, outcome.stderr
    shown = outcome.stdout + outcome.stderr + "\n".join(host.called("curl"))
    assert SECRET not in shown
    assert password not in shown
    whole = b"".join(outcome.bundle.members.values())
    assert SECRET.encode() not in whole
    assert password.encode() not in whole


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "https://jdoe:pw@example.org/x",
        "https://example.org",
        "x y",
        "",
    ],
)
def test_addresses_that_are_not_taken(host: FakeHost, url: str) -> None:
    outcome = host.run(DASH, *QUICK, "--upload", url)

    assert outcome.returncode == 2
    assert list(host.out.iterdir()) == []


CUT_ONCE = """case "$*" in *--upload-file*) if [ ! -e {target} ]; then
  for word; do case $word in */out/vnetkb*) head -c 5000 "$word" >{target} ;; esac; done
  echo "curl: (18) cut" >&2; exit 18
fi ;; esac
exec {curl} "$@"
"""
SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


@pytest.mark.skipif(
    not Path("/usr/sbin/sshd").exists() or os.geteuid() != 0, reason="NOT TESTED: no sshd, or not root"
)
def test_sftp_resumes_what_a_try_before_left(host: FakeHost, tmp_path: Path) -> None:
    protocols = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    if " sftp" not in protocols:
        pytest.skip("NOT TESTED: this curl has no sftp")
    folder = tmp_path / "ssh"
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    folder.mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized")
    (home / ".curlrc").write_text(
        f"key = {folder}/user_key\npubkey = {folder}/user_key.pub\n", encoding="ascii"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(SSHD.format(port=port, folder=folder), encoding="ascii")
    key = (folder / "host_key.pub").read_text(encoding="ascii").split()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n", encoding="ascii")
    run = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL
    )
    target = tmp_path / "there" / "x.tar.gz"
    target.parent.mkdir()
    host.command("curl", CUT_ONCE.format(curl=shutil.which("curl"), target=target))
    try:
        wait_for_port(port)
        user = pwd.getpwuid(os.geteuid()).pw_name
        outcome = send(host, f"sftp://{user}@127.0.0.1:{port}{target}", HOME=str(home))
    finally:
        run.kill()
        run.wait()

    assert outcome.returncode == 0, outcome.stderr
    assert_same(outcome.bundle.path, target)
    assert "try 1 of 5: curl: (18) cut" in outcome.stderr
    assert any("--continue-at -" in call for call in host.called("curl"))
    assert "read back" in outcome.stderr
