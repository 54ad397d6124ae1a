# SPDX-License-Identifier: Apache-2.0
"""Sending to real servers on loopback: nginx and Apache with WebDAV, sftp; killed in the middle, too."""

from __future__ import annotations

import gzip
import hashlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from collectors.fake_host import QUICK, SHELLS, FakeHost, Outcome, rich_host
from vnetkb.bundle import read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is not installed")
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None,
    reason="NOT TESTED: nginx is not installed",
)
needs_apache = pytest.mark.skipif(
    not Path("/usr/sbin/apache2").exists(), reason="NOT TESTED: apache2 is not installed"
)
DASH = SHELLS["dash"]
KILLS = int(os.environ.get("VNETKB_KILLS", "12"))
"""Kills at random moments; `make kills` asks for 200."""
SECRET = "s1gn4ture-of-a-store"  # noqa: S105  # no real one
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
  access_log {folder}/access.log; client_body_temp_path {folder}/temp; client_max_body_size 100m;
  proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  server {{
    listen 127.0.0.1:{port} {tls}; root {folder}/dav; {more}
    location / {{ dav_methods PUT; create_full_put_path on; {rules} }}
  }}
}}
"""
APACHE = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
{modules}
DavLockDB {folder}/lock
DocumentRoot {folder}/dav
<Directory {folder}/dav>
  Dav On
  Require all granted
</Directory>
"""
APACHE_MODULES = ("mpm_event", "authn_core", "authz_core", "dav", "dav_fs")


class Server:
    """A server of our own: it can be killed and started again."""

    scheme = "http"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dav", "temp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.owner = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else ""
        self.process: subprocess.Popen[bytes] | None = None

    def words(self) -> list[str]:
        """Return what starts it in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        self.process = subprocess.Popen(
            self.words(), env=environment, process_group=0, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"


class Nginx(Server):
    """nginx with WebDAV: what has not arrived whole is not kept, and ranges are refused."""

    def __init__(self, folder: Path, rules: str = "", more: str = "", tls: Path | None = None) -> None:
        super().__init__(folder)
        self.config = folder / "nginx.conf"
        if tls is not None:
            self.scheme = "https"
            more += f" ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key;"
        text = CONFIG.format(
            folder=folder, port=self.port, rules=rules, more=more, tls="ssl" if tls else "",
            user=f"user {self.owner};" if self.owner else "",
        )  # fmt: skip
        self.config.write_text(text, encoding="utf-8")

    def words(self) -> list[str]:
        errors = str(self.folder / "error.log")
        return ["nginx", "-c", str(self.config), "-p", str(self.folder), "-e", errors]


class Apache(Server):
    """Apache with WebDAV: takes ranges, and keeps what has come of one when it breaks off."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        load = "LoadModule {0}_module /usr/lib/apache2/modules/mod_{0}.so"
        self.config = folder / "apache.conf"
        text = APACHE.format(
            folder=folder, port=self.port, modules="\n".join(load.format(name) for name in APACHE_MODULES),
        )  # fmt: skip
        self.config.write_text(text, encoding="utf-8")

    def words(self) -> list[str]:
        words = ["apache2", "-X", "-f", str(self.config)]
        # It does not serve as root.
        return (
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words] if self.owner else words
        )


def wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server does not start")


@contextmanager
def served(server: Server) -> Iterator[Server]:
    try:
        server.start()
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
    with served(Nginx(tmp_path / "server")) as server:
        outcome = send(host, f"{server.url}case-7/")

    assert outcome.returncode == 0, outcome.stderr
    path = outcome.bundle.path
    assert_same(path, server.folder / "dav" / "case-7" / path.name)
    assert "read back, its sha256 is right" in outcome.stderr


@needs_nginx
def test_a_store_that_lets_nobody_read(host: FakeHost, tmp_path: Path) -> None:
    with served(Nginx(tmp_path / "server", "limit_except PUT { deny all; }")) as server:
        outcome = send(host, f"{server.url}one.tar.gz")

    assert outcome.returncode == 0, outcome.stderr
    assert_same(outcome.bundle.path, server.folder / "dav" / "one.tar.gz")
    assert "lets nobody look at it" in outcome.stderr


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate for 127.0.0.1, and with that of the authority that signed it."""
    folder = tmp_path_factory.mktemp("authority")
    base = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    base += ["-days", "2"]
    made = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=an authority of its own"]
    subprocess.run([*base, *made], cwd=folder, check=True, capture_output=True)
    made = ["-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=store", "-CA", "ca.pem", "-CAkey"]
    made += ["ca.key", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    subprocess.run([*base, *made], cwd=folder, check=True, capture_output=True)
    return folder


@needs_nginx
def test_over_https(host: FakeHost, tmp_path: Path, authority: Path) -> None:
    with served(Nginx(tmp_path / "server", tls=authority)) as server:
        outcome = send(host, f"{server.url}in/", CURL_CA_BUNDLE=str(authority / "ca.pem"))

    assert outcome.returncode == 0, outcome.stderr
    path = outcome.bundle.path
    assert_same(path, server.folder / "dav" / "in" / path.name)
    assert "read back, its sha256 is right" in outcome.stderr


@needs_nginx
@pytest.mark.parametrize("wrong", ["authority", "authority, which ~/.curlrc would take", "name"])
def test_a_certificate_that_does_not_hold_gets_nothing(
    host: FakeHost, tmp_path: Path, authority: Path, wrong: str
) -> None:
    with served(Nginx(tmp_path / "server", tls=authority)) as server:
        if wrong.startswith("authority"):
            if "curlrc" in wrong:
                (tmp_path / ".curlrc").write_text("insecure\n", encoding="ascii")
            outcome = send(host, f"{server.url}x?signature={SECRET}", HOME=str(tmp_path))
        else:
            bundle = {"CURL_CA_BUNDLE": str(authority / "ca.pem")}
            outcome = send(host, f"https://localhost:{server.port}/x?signature={SECRET}", **bundle)

    assert outcome.returncode == 3
    assert "nothing was sent, as it cannot be told that this is the right server" in outcome.stderr
    assert "try 2" not in outcome.stderr
    assert SECRET not in outcome.stderr
    assert Path(outcome.stdout.strip()).exists()
    assert list((server.folder / "dav").iterdir()) == []
    assert not (server.folder / "access.log").read_bytes()


TELLTALE = (
    'trace-ascii = "{}"',
    'trace = "{}"',
    "verbose",
    'output = "{}"',
    'stderr = "{}"',
    'dump-header = "{}"',
    'libcurl = "{}"',
    "--verbose",
    "-v",
    'write-out = "%{{url_effective}}"',
    "url = http://127.0.0.1:1/",
    "range = 0-1",
    "include",
    'config = "{}"',
)


@needs_nginx
@pytest.mark.parametrize("setting", ["all of them", "SSLKEYLOGFILE"])
def test_settings_of_curl_neither_tell_nor_spoil(
    host: FakeHost, tmp_path: Path, authority: Path, setting: str
) -> None:
    told = tmp_path / "told"
    home = tmp_path / "home"
    home.mkdir()
    more = {"SSLKEYLOGFILE": str(told)}
    if setting == "all of them":
        (home / "more").write_text("verbose\n", encoding="ascii")
        lines = [line.format(home / "more" if "config" in line else told) for line in TELLTALE]
        lines.append(f'cacert = "{authority / "ca.pem"}"')
        (home / ".curlrc").write_text("\n".join(lines) + "\n", encoding="ascii")
        more = {"HOME": str(home), "VNETKB_UPLOAD_HEADER": f"X-Key: {SECRET}"}
    else:
        more["CURL_CA_BUNDLE"] = str(authority / "ca.pem")
    with served(Nginx(tmp_path / "server", tls=authority)) as server:
        outcome = send(host, f"{server.url}in/", **more)

    assert outcome.returncode == 0, outcome.stderr
    path = outcome.bundle.path
    assert_same(path, server.folder / "dav" / "in" / path.name)
    assert "read back, its sha256 is right" in outcome.stderr
    assert not told.exists()
    assert SECRET not in outcome.stderr
    assert "PUT /" not in outcome.stderr


@needs_nginx
def test_a_proxy_of_curls_settings_is_taken(host: FakeHost, tmp_path: Path, authority: Path) -> None:
    (tmp_path / ".curlrc").write_text('--proxy "http://127.0.0.1:1"\n', encoding="ascii")
    more = {"HOME": str(tmp_path), "CURL_CA_BUNDLE": str(authority / "ca.pem"), "VNETKB_UPLOAD_PAUSE_CS": "1"}
    with served(Nginx(tmp_path / "server", tls=authority)) as server:
        outcome = send(host, f"{server.url}in/", **more)

    assert outcome.returncode == 3
    assert "127.0.0.1 port 1" in outcome.stderr
    assert list((server.folder / "dav").iterdir()) == []


def big(host: FakeHost) -> None:
    """Let the host show much that does not pack, so that sending takes long enough to be cut."""
    host.file("proc/pressure/io", os.urandom(1_500_000).hex() + "\n")


@contextmanager
def sending(host: FakeHost, url: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    run = subprocess.Popen(
        [*host.words(DASH, *QUICK, "--snapshots", "1", "--upload", url)],
        env=host.environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@needs_nginx
def test_a_server_killed_in_the_middle(host: FakeHost, tmp_path: Path, authority: Path) -> None:
    big(host)
    server = Nginx(tmp_path / "server", tls=authority)
    there = server.folder / "dav" / "big.tar.gz"
    more = {"CURL_CA_BUNDLE": str(authority / "ca.pem"), "CURL_HOME": str(limited(tmp_path, "1M"))}
    with served(server), sending(host, f"{server.url}big.tar.gz", VNETKB_UPLOAD_PAUSE_CS="50", **more) as run:
        wait_until(lambda: any((server.folder / "temp").rglob("*[0-9]")))
        time.sleep(0.5)
        server.stop()
        assert not there.exists(), "it was killed too late"
        time.sleep(0.3)
        server.start()
        out, error = run.communicate(timeout=120)

    assert run.returncode == 0, error
    assert "try 1 of 5" in error
    assert "read back, its sha256 is right" in error
    assert_same(Path(out.strip()), there)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may enter, and write to."""
    with tempfile.TemporaryDirectory(prefix="vnetkb-test-") as name:
        folder = Path(name)
        for path in (folder, folder / "server", folder / "server" / "dav"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        yield folder


@needs_apache
def test_a_server_that_keeps_what_has_come_is_sent_the_rest(
    host: FakeHost, tmp_path: Path, open_folder: Path
) -> None:
    big(host)
    host.command("curl", f'exec {shutil.which("curl")} "$@"')
    server = Apache(open_folder / "server")
    there = server.folder / "dav" / "big.tar.gz"
    part = server.folder / "dav"
    more = {"VNETKB_UPLOAD_PAUSE_CS": "50", "CURL_HOME": str(limited(tmp_path, "1M"))}
    with served(server), sending(host, f"{server.url}big.tar.gz", **more) as run:
        # The first break loses all, as Apache puts what shall be a whole file under another name first.
        wait_until(lambda: any(path.stat().st_size > 100_000 for path in part.iterdir()))
        server.stop()
        assert not there.exists(), "it was killed too late"
        server.start()
        wait_until(lambda: there.exists() and there.stat().st_size > 500_000)
        server.stop()
        kept = there.stat().st_size
        server.start()
        out, error = run.communicate(timeout=120)

    assert run.returncode == 0, error
    assert "try 2 of 5" in error
    assert_same(Path(out.strip()), there)
    (call,) = (call for call in host.called("curl") if "--continue-at" in call)
    assert f"--continue-at {kept} " in call
    assert "read back, its sha256 is right" in error


@needs_nginx
def test_what_differs_is_sent_again_whole(host: FakeHost, tmp_path: Path) -> None:
    # An older and shorter file lies under the name, and the first try does not even reach the server.
    server = Nginx(tmp_path / "server")
    there = server.folder / "dav" / "x"
    there.write_bytes(b"something else")
    curl = shutil.which("curl")
    once = tmp_path / "once"
    host.command(
        "curl", f'[ -e {once} ] || {{ true >{once}; echo "curl: (7) no" >&2; exit 7; }}; exec {curl} "$@"'
    )
    with served(server):
        outcome = send(host, f"{server.url}x")

    assert outcome.returncode == 0, outcome.stderr
    assert_same(outcome.bundle.path, there)


@needs_nginx
@pytest.mark.parametrize("how", ["one", "all", "outright"])
def test_what_sends_ends_with_the_collector(host: FakeHost, tmp_path: Path, how: str) -> None:
    big(host)
    server = Nginx(tmp_path / "server")
    with (
        served(server),
        sending(host, f"{server.url}x", CURL_HOME=str(limited(tmp_path, "50k"))) as run,
    ):
        wait_until(lambda: any((server.folder / "temp").rglob("*[0-9]")))
        if how == "all":
            os.killpg(run.pid, signal.SIGTERM)
        else:
            run.send_signal(signal.SIGTERM if how == "one" else signal.SIGKILL)
        _, error = run.communicate(timeout=10)
        wait_until(lambda: host.processes() == [])

    (kept,) = host.out.glob("vnetkb-*.tar.gz")
    assert gzip.decompress(kept.read_bytes())
    if how != "outright":
        assert run.returncode == 3
        assert error.endswith(f"sending was stopped; {kept} is kept here\n")
        assert list(host.out.iterdir()) == [kept]


def limited(folder: Path, rate: str) -> Path:
    """Return a folder whose curl settings make transfers slow."""
    (folder / ".curlrc").write_text(f"limit-rate = {rate}\n", encoding="ascii")
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
    with served(Nginx(tmp_path / "server", "deny all;")) as server:
        outcome = send(host, f"{server.url}x?signature={SECRET}")

    assert outcome.returncode == 3
    assert "refused it with status 403" in outcome.stderr
    assert "try 2" not in outcome.stderr
    assert SECRET not in outcome.stderr


@contextmanager
def process_lists(host: FakeHost) -> Iterator[set[str]]:
    """Collect the arguments of every process of the host's, as `ps` sees them, all the while."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            seen.update(host.processes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@needs_nginx
def test_what_is_secret_stands_in_no_arguments_no_log_and_no_bundle(host: FakeHost, tmp_path: Path) -> None:
    password = "hunter2-of-the-store"  # noqa: S105  # no real one
    users = tmp_path / "users"
    users.write_text(f"jdoe:{{PLAIN}}{password}\n", encoding="ascii")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login jdoe password {password}\n", encoding="ascii")
    netrc.chmod(0o600)
    curl = shutil.which("curl")
    host.command("curl", f'sleep 0.3; exec {curl} "$@"')
    with served(Nginx(tmp_path / "server", f"auth_basic x; auth_basic_user_file {users};")) as server:
        address = tmp_path / "address"
        address.write_text(f"{server.url}x.tar.gz?signature={SECRET}\n", encoding="ascii")
        with process_lists(host) as seen:
            outcome = send(
                host, f"@{address}", VNETKB_NETRC=str(netrc), VNETKB_UPLOAD_HEADER=f'x-token: "{SECRET}"'
            )

    assert outcome.returncode == 0, outcome.stderr
    shown = outcome.stdout + outcome.stderr + "\n".join(host.called("curl"))
    shown += "\n".join(seen)
    assert any("--upload-file" in words for words in seen)
    assert SECRET not in shown
    assert password not in shown
    assert '"x-token: ' not in shown
    whole = b"".join(outcome.bundle.members.values())
    assert SECRET.encode() not in whole
    assert password.encode() not in whole


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "http://localhost.example.org/x",
        "http://localhost:80.example.org/x",
        "http://localhost@example.org/x",
        "http://localhost",
        "https://example.org/a\\b",
        'https://example.org/a"b',
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
Subsystem sftp internal-sftp {server}
"""


needs_sshd = pytest.mark.skipif(
    not Path("/usr/sbin/sshd").exists() or os.geteuid() != 0, reason="NOT TESTED: no sshd, or not root"
)


@contextmanager
def sshd(folder: Path, *settings: str, server: str = "") -> Iterator[tuple[str, Path]]:
    """Run a real sshd; yield the address before a path, and a home whose curl may enter there."""
    protocols = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout
    if " sftp" not in protocols:
        pytest.skip("NOT TESTED: this curl has no sftp")
    keys, home = folder / "ssh", folder / "home"
    (home / ".ssh").mkdir(parents=True)
    keys.mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    shutil.copy(keys / "user_key.pub", keys / "authorized")
    lines = [f"key = {keys}/user_key", f"pubkey = {keys}/user_key.pub", *settings]
    (home / ".curlrc").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (keys / "config").write_text(SSHD.format(port=port, folder=keys, server=server), encoding="ascii")
    key = (keys / "host_key.pub").read_text(encoding="ascii").split()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n", encoding="ascii")
    run = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(keys / "config")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port)
        yield f"sftp://{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{port}", home
    finally:
        run.kill()
        run.wait()


@needs_sshd
def test_sftp_resumes_what_a_try_before_left(host: FakeHost, tmp_path: Path) -> None:
    target = tmp_path / "there" / "x.tar.gz"
    target.parent.mkdir()
    target.write_bytes(b"of a run before")
    part = target.with_name("x.tar.gz.part")
    host.command("curl", CUT_ONCE.format(curl=shutil.which("curl"), target=part))
    with sshd(tmp_path) as (address, home):
        outcome = send(host, f"{address}{target}", HOME=str(home))

    assert outcome.returncode == 0, outcome.stderr
    assert_same(outcome.bundle.path, target)
    assert not part.exists()
    assert "try 1 of 5: curl: (18) cut" in outcome.stderr
    assert any("--continue-at -" in call for call in host.called("curl"))
    assert "read back" in outcome.stderr


@needs_sshd
@pytest.mark.parametrize("name", ["a%20b.tar.gz", "%78.tar.gz", "a'b.tar.gz"])
def test_sftp_sends_a_path_with_escapes_under_its_own_name(host: FakeHost, tmp_path: Path, name: str) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with sshd(tmp_path) as (address, home):
        outcome = send(host, f"{address}{there}/{name}", HOME=str(home))

    assert outcome.returncode == 0, outcome.stderr
    (found,) = there.iterdir()
    assert found.name == unquote(name)
    assert_same(outcome.bundle.path, found)


@needs_sshd
def test_sftp_to_a_server_that_renames_nothing(host: FakeHost, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with sshd(tmp_path, server="-P rename,posix-rename") as (address, home):
        outcome = send(host, f"{address}{there}/x.tar.gz", HOME=str(home))

    assert outcome.returncode == 0, outcome.stderr
    assert "the server does not rename" in outcome.stderr
    assert str(there) not in outcome.stderr
    assert_same(outcome.bundle.path, there / "x.tar.gz")
    assert [path.name for path in there.iterdir()] == ["x.tar.gz"], "what could not be renamed stays there"


@needs_sshd
def test_killed_outright_while_sending_by_sftp(host: FakeHost, tmp_path: Path) -> None:
    chance = random.Random(20261124)  # noqa: S311  # repeatable, not secret
    there = tmp_path / "there"
    there.mkdir()
    # A transfer that takes seconds: curl sends what is small in one piece, at any rate.
    host.command("ethtool", "head -c 200000 /dev/urandom | od -An -v -tx1")
    with sshd(tmp_path, "limit-rate = 64k") as (address, home):
        for _ in range(max(5, KILLS // 2)):
            before = set(host.out.glob("*.tar.gz"))
            with sending(host, f"{address}{there}/", HOME=str(home)) as run:
                wait_until(lambda before=before: set(host.out.glob("*.tar.gz")) - before)  # type: ignore[misc]
                time.sleep(chance.uniform(0.0, 2.0))
                if chance.random() < 0.5:
                    run.kill()
                else:
                    os.killpg(run.pid, signal.SIGKILL)
                run.communicate(timeout=60)
            wait_until(lambda: host.processes() == [])
        for path in host.out.glob("*.tar.gz"):
            assert read_bundle(path).notices == ()
        assert host.run(DASH, *QUICK, "--snapshots", "1").returncode == 0

    left = sorted(path.name for path in there.iterdir())
    assert any(name.endswith(".part") for name in left), f"none was killed while it was sending: {left}"
    for path in there.glob("*.tar.gz"):
        assert_same(host.out / path.name, path)
    assert not [path for path in host.out.iterdir() if path.name.startswith(".")]
