# SPDX-License-Identifier: Apache-2.0
"""Encrypted bundles: decrypted by age or gpg as a stream into the reader, never into a file.

What they print is only used when they end well: both tell a file that was changed or cut off.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, cast

from vnetkb.errors import UnusableInput
from vnetkb.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Cipher = Literal["age", "gpg"]
_CHUNK = 64 * 1024
_HEAD = 64
_SHOWN = 200
_WAIT_S = 30
_GPG_WORDS = ("--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback")


def cipher_of(path: Path) -> Cipher:
    """Tell by the first bytes of an encrypted file which program decrypts it."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return "age" if head.startswith((b"age-", b"-----BEGIN AGE")) else "gpg"


@contextmanager
def decrypted(path: Path, cipher: Cipher, identity: Path | None) -> Iterator[BinaryIO]:
    """Give the clear text of a file as a stream.

    Args:
        path: The encrypted file.
        cipher: The program.
        identity: File with the key: identities of age, or a secret key that gpg exported.

    Raises:
        UnusableInput: There is no key, no such program, or it cannot decrypt; raised at the end as well, so
            that what was read until then is not used.
    """
    name = printable(path.name)
    if identity is None:
        raise UnusableInput(
            file=name,
            found=f"a file encrypted with {cipher}",
            expected="--identity KEYFILE with the key for it",
        )
    if not identity.is_file():
        raise UnusableInput(file=printable(str(identity)), found="no file", expected=f"a key of {cipher}")
    program = shutil.which(cipher)
    if program is None:
        raise UnusableInput(
            file=name, found=f"no {cipher} on this machine", expected=f"{cipher} in PATH to decrypt it"
        )
    with tempfile.TemporaryDirectory(prefix="vnetkb-key-") as home:
        if cipher == "age":
            words = [program, "--decrypt", "--identity", str(identity), str(path.resolve())]
        else:
            base = [
                program,
                "--homedir",
                home,
                "--batch",
                "--no-tty",
                "--quiet",
                "--pinentry-mode",
                "loopback",
            ]
            _import(base, identity)
            words = [*base, "--decrypt", str(path.resolve())]
        try:
            yield from _stream(words, name, cipher)
        finally:
            _end_agent(home, cipher)


def _stream(words: list[str], name: str, cipher: Cipher) -> Iterator[BinaryIO]:
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as run,  # noqa: S603  # no shell
    ):
        clear = cast("IO[bytes]", run.stdout)
        try:
            yield cast("BinaryIO", clear)
        except UnusableInput:
            # An early end is the program's doing, which explains it better; all else is the archive's.
            if clear.read(1) or run.wait(_WAIT_S) == 0:
                raise
        finally:
            # Of no effect where it has ended; where it has not, nobody reads what it still prints.
            if clear.read(1):
                run.kill()
        if run.wait(_WAIT_S) != 0:
            expected = f"the right key, and a whole file of {cipher}"
            raise UnusableInput("cannot be decrypted", file=name, found=_complaint(errors), expected=expected)


def _import(base: list[str], identity: Path) -> None:
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(  # noqa: S603  # no shell
            [*base, "--import", str(identity.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
            timeout=_WAIT_S,
        )
        if done.returncode != 0:
            raise UnusableInput(
                file=printable(str(identity)),
                found=_complaint(errors),
                expected="a secret key that gpg exported",
            )


def _end_agent(home: str, cipher: Cipher) -> None:
    """End the agent that gpg started for the key of this home only."""
    program = shutil.which("gpgconf") if cipher == "gpg" else None
    if program is not None:
        subprocess.run(  # noqa: S603  # no shell
            [program, "--homedir", home, "--kill", "all"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_WAIT_S,
        )


def _complaint(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(_CHUNK).decode("utf-8", "replace").split("\n")
    said = next((line for line in lines if line.strip()), "no reason given")
    return printable(said)[:_SHOWN]


def sum_of(path: Path, limit: int) -> str:
    """Return the sha256 of a file as it is on disk.

    Raises:
        UnusableInput: It is larger than `limit`.
    """
    digest = hashlib.sha256()
    read = 0
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            read += len(data)
            if read > limit:
                raise UnusableInput(
                    file=printable(path.name), found=f"more than {limit} bytes", expected="fewer"
                )
            digest.update(data)
    return digest.hexdigest()
