# SPDX-License-Identifier: Apache-2.0
"""Encrypted bundles with the real age and gpg: written by the collector, read by the analyzer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import QUICK, SHELLS, FakeHost, rich_host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.validate import validate
from vnetkb.cli import main
from vnetkb.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Callable

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"NOT TESTED: {name} is not installed")
    for name in ("age", "gpg")
}


def age_key(folder: Path) -> tuple[str, Path]:
    """Return a recipient and the file of its identity."""
    identity = folder / "age-identity"
    done = subprocess.run(["age-keygen", "-o", str(identity)], capture_output=True, text=True, check=True)
    return done.stderr.split()[-1], identity


def gpg_key(folder: Path) -> tuple[str, Path]:
    """Return the files of a public and of a secret key, made in a keyring of their own."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    gpg = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    try:
        subprocess.run([*gpg, "--quick-gen-key", "support@vnetkb.test", "rsa2048", "encrypt"], check=True)
        for option, name in (("--export", "public.asc"), ("--export-secret-keys", "secret.asc")):
            subprocess.run([*gpg, "--armor", "--output", str(folder / name), option], check=True)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return str(folder / "public.asc"), folder / "secret.asc"


def agents() -> set[str]:
    """Return the command lines of agents of gpg that serve temporary keyrings of vnetkb."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"gpg-agent" in words and b"vnetkb-key-" in words:
            found.add(words.decode(errors="replace"))
    return found


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        pytest.param(age_key, ".tar.gz.age", marks=needs["age"], id="age"),
        pytest.param(gpg_key, ".tar.gz.gpg", marks=needs["gpg"], id="gpg"),
    ],
)
def test_a_bundle_for_the_owner_of_a_key(
    tmp_path: Path, shell: list[str], make: Callable[[Path], tuple[str, Path]], suffix: str
) -> None:
    recipient, identity = make(tmp_path)
    host = rich_host(tmp_path)

    outcome = host.run(shell, *QUICK, "--snapshots", "1", "--encrypt-to", recipient)

    assert outcome.returncode == 0, outcome.stderr
    (written,) = host.out.iterdir()
    assert outcome.stdout == f"{written}\n"
    assert written.name.endswith(suffix)
    data = written.read_bytes()
    assert b"web01" not in data
    assert not data.startswith(b"\x1f\x8b")
    bundle = read_bundle(written, identity=identity)
    assert bundle.notices == ()
    assert bundle.data("virsh-dumpxml", 0) is not None
    assert validate(written, identity=identity).sha256 == bundle.sha256
    assert main(["show", "--identity", str(identity), str(written), "REVIEW.txt"]) == 0
    assert agents() == set()


@needs["age"]
def test_recipients_of_age_in_a_file(tmp_path: Path) -> None:
    recipient, identity = age_key(tmp_path)
    recipients = tmp_path / "recipients"
    recipients.write_text(f"# support\n{recipient}\n", encoding="ascii")
    host = rich_host(tmp_path)

    outcome = host.run(SHELLS["dash"], *QUICK, "--snapshots", "1", "--encrypt-to", str(recipients))

    assert read_bundle(Path(outcome.stdout.strip()), identity=identity).notices == ()


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[Path, Path]:
    """Return an encrypted bundle and the identity that opens it."""
    if shutil.which("age") is None:
        pytest.skip("NOT TESTED: age is not installed")
    recipient, identity = age_key(tmp_path)
    recorded = next((Path(__file__).parents[1] / "bundle" / "fixtures").glob("vnetkb-*.tar.gz"))
    target = tmp_path / "bundle.tar.gz.age"
    subprocess.run(["age", "-r", recipient, "-o", str(target), str(recorded)], check=True)
    return target, identity


def test_without_the_key_it_is_told_what_is_needed(encrypted: tuple[Path, Path]) -> None:
    with pytest.raises(UnusableInput, match="encrypted with age, expected --identity KEYFILE"):
        read_bundle(encrypted[0])


def test_the_wrong_key_is_told(encrypted: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _, other = age_key(tmp_path / "other")

    with pytest.raises(UnusableInput, match=r"cannot be decrypted: found .*no identity matched"):
        read_bundle(encrypted[0], identity=other)
    with pytest.raises(UnusableInput, match="no file, expected a key of age"):
        read_bundle(encrypted[0], identity=tmp_path / "none")


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_off_file_is_refused_whole(encrypted: tuple[Path, Path], cut: float) -> None:
    path, identity = encrypted
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])

    with pytest.raises(UnusableInput, match="cannot be decrypted"):
        read_bundle(path, identity=identity)


@pytest.mark.parametrize("at", [150, 0.5, -20])
def test_a_changed_file_is_refused_whole(encrypted: tuple[Path, Path], at: float) -> None:
    path, identity = encrypted
    data = bytearray(path.read_bytes())
    data[int(at if abs(at) >= 1 else at * len(data))] ^= 1
    path.write_bytes(data)

    with pytest.raises(UnusableInput, match="cannot be decrypted"):
        read_bundle(path, identity=identity)


def test_what_is_encrypted_may_be_hostile_too(tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("NOT TESTED: age is not installed")
    recipient, identity = age_key(tmp_path)
    target = tmp_path / "bomb.age"
    subprocess.run(
        ["sh", "-c", f"head -c 200000000 /dev/zero | gzip -9 | age -r {recipient} -o {target}"], check=True
    )

    with pytest.raises(UnusableInput, match=r"for each packed byte|no tar archive|damaged"):
        read_bundle(target, identity=identity)


@pytest.mark.parametrize("key", ["age1notakey", "nobody@vnetkb.test"])
def test_a_key_that_cannot_be_used_is_told_before_the_collection(host: FakeHost, key: str) -> None:
    outcome = host.run(SHELLS["dash"], *QUICK, "--encrypt-to", key, env={"HOME": str(host.out)})

    assert outcome.returncode == 1
    assert "cannot encrypt to that key" in outcome.stderr
    assert [path for path in host.out.iterdir() if path.name != ".gnupg"] == []
    assert host.called("virsh") == []


def test_where_encryption_fails_clear_text_is_not_kept(host: FakeHost) -> None:
    host.command(
        "age", 'case "$*" in *cipher-try) out=$5; echo x >"$5" ;; *) echo "age: no space" >&2; exit 1 ;; esac'
    )

    outcome = host.run(SHELLS["dash"], *QUICK, "--snapshots", "1", "--encrypt-to", "age1anything")

    assert outcome.returncode == 3
    assert "the clear archive is not kept" in outcome.stderr
    assert outcome.stdout == ""
    assert list(host.out.iterdir()) == []


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return rich_host(tmp_path)
