# SPDX-License-Identifier: Apache-2.0
"""The archive of a bundle, streamed into memory within limits; nothing is ever extracted to disk.

An archive that is not safe is refused whole: a path that leaves its folder, a link, a device, a name that
comes twice, more than one top folder, or more than the limits allow. One that is only damaged gives what
could be read.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, cast

from vnetkb.errors import UnusableInput, VnetkbError
from vnetkb.language import tr

if TYPE_CHECKING:
    from vnetkb.bundle.limits import Limits

_CHUNK = 64 * 1024
_HEAD = 64
_ENCRYPTED = (
    b"age-encryption.org/",
    b"-----BEGIN AGE ENCRYPTED FILE-----",
    b"-----BEGIN PGP MESSAGE-----",
    # RFC 4880 4.2: the packet of a session key encrypted to a public key, in the old and the new format
    b"\x84",
    b"\x85",
    b"\x86",
    b"\xc1",
)
_GZIP = b"\x1f\x8b"
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
_NESTED_HEADERS = 4  # GNU tar writes two before a member at most: a long name and a long link
_HEADER_BYTES = 4096
_CUT_OFF = "the archive is cut off"
_EXPECTED = "a bundle of vnetkb-collect, a .tar.gz"

_EXTENDED = frozenset(
    (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )
)
_TYPES = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
# how the file of a guest's collector begins
GUEST_HEAD = b"VNETKB-CONTAINER"
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x7fELF", "a program"),
    (b"\n\r\r\n", "a packet capture (pcapng)"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture (pcap)"),
    (
        GUEST_HEAD,
        "the file of a guest's collector, which goes beside a bundle (analyze --guest NAME=FILE BUNDLE)",
    ),
    (b"{", "JSON text"),
    (b"<", "HTML or XML text"),
)
# a part of a member path, and what leaves it there
_FOREIGN = (
    ("sosreport-", "a sosreport"),
    ("sos_commands/", "a sosreport"),
    ("insights_commands/", "an Insights archive"),
    ("ovs-bugtool", "an ovs-bugtool report"),
    ("bug-report-", "an ovs-bugtool report"),
    ("must-gather", "an OpenShift must-gather"),
    ("scc_", "a SUSE supportconfig"),
    ("nts_", "a SUSE supportconfig"),
    ("pyproject.toml", "a source archive"),
    ("Kconfig", "a kernel source archive"),
    ("debian-binary", "a Debian package"),
)


# two empty blocks, behind which all is filled up to a record of twenty (tar(5))
_END_BYTES = 2 * tarfile.BLOCKSIZE


class Member(NamedTuple):
    """One file of the archive.

    Attributes:
        data: Its bytes.
        sha256: Their sum, 64 hex digits.
    """

    data: bytes
    sha256: str


class Archive(NamedTuple):
    """What an archive holds.

    Attributes:
        folder: Its one top folder.
        members: Files by their path below that folder.
        sha256: Sum of the archive file itself.
        damage: Why not all of it could be read, in plain words; None when it is whole.
        cut_off: The file ends before the archive does.
    """

    folder: str
    members: dict[str, Member]
    sha256: str
    damage: str | None
    cut_off: bool


class _Unsafe(Exception):
    """The archive must be refused whole; carries the member, what was found and what was expected."""

    def __init__(self, member: str | None, found: str, expected: str) -> None:
        super().__init__(found)
        self.member = member
        self.found = found
        self.expected = expected


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class _Packed:
    """The file as it is on disk: sums it, counts it, and can push its first bytes back."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._digest = hashlib.sha256()
        self._ahead = b""
        self.count = 0

    def peek(self, size: int) -> bytes:
        self._ahead = self._fetch(size)
        return self._ahead

    def read(self, size: int = _CHUNK) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        return self._fetch(size)

    def _fetch(self, size: int) -> bytes:
        data = self._file.read(min(size, _CHUNK) if size >= 0 else _CHUNK)
        self._digest.update(data)
        self.count += len(data)
        if self.count > self._limit:
            raise _Unsafe(None, f"more than {self._limit} packed bytes", "less")
        return data

    def sum_of_all(self) -> str:
        while self._fetch(_CHUNK):
            pass
        return self._digest.hexdigest()


class _Gunzip:
    """The gzip members that hold the archive (RFC 1952), and what follows them.

    Python's own reader takes zeros and empty members behind them in silence: a bundle could grow unseen.
    """

    def __init__(self, packed: _Packed) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj(wbits=31)
        self._given = 0
        self.last_from = 0
        self.foreign = False
        self._error: zlib.error | None = None

    def read(self, size: int = _CHUNK) -> bytes:
        if self._error is not None:
            raise self._error
        while not self.foreign:
            if self._inflate.eof:
                ahead = self._inflate.unused_data or self._packed.read(_CHUNK)
                if not ahead:
                    break
                if len(ahead) < len(_GZIP):
                    ahead += self._packed.read(_CHUNK)
                if not ahead.startswith(_GZIP):
                    self.foreign = True
                    break
                self._inflate = zlib.decompressobj(wbits=31)
                self.last_from = self._given
            else:
                ahead = self._inflate.unconsumed_tail or self._packed.read(_CHUNK)
                if not ahead:
                    raise EOFError
            data = self._inflated(ahead, size)
            if data:
                self._given += len(data)
                return data
        return b""

    def _inflated(self, ahead: bytes, size: int) -> bytes:
        before = self._inflate.copy()
        try:
            return self._inflate.decompress(ahead, size)
        except zlib.error as error:
            self._error = error
        # zlib gives out nothing of a piece in which it finds an error: what was good before it is used
        good = b""
        try:
            for at in range(len(ahead)):
                good += before.decompress(ahead[at : at + 1])
        except zlib.error:
            if not good:
                raise
        return good


class _Unpacked:
    """The stream that tarfile reads: counts what was unpacked, holds it to the limits, remembers damage."""

    def __init__(self, source: _Readable, packed: _Packed, limits: Limits) -> None:
        self._source = source
        self._packed = packed
        self._limits = limits
        self.count = self.full = 0
        self.head = b""
        self.damage: str | None = None
        self.cut_off = False

    def read(self, size: int) -> bytes:
        if self.damage is not None:
            return b""
        try:
            data = self._source.read(min(size, _CHUNK))
        except EOFError:
            self.damage, self.cut_off = _CUT_OFF, True
            return b""
        except zlib.error as error:
            self.damage = tr("the compressed data is damaged ({error})", error=shown(str(error)))
            return b""
        self.head = self.head or data[: tarfile.BLOCKSIZE]
        self.count += len(data)
        filled = len(data.rstrip(b"\0"))
        if filled:
            self.full = self.count - len(data) + filled
        limits = self._limits
        if self.count > limits.total_bytes:
            raise _Unsafe(None, f"more than {limits.total_bytes} unpacked bytes", "less")
        if self.count > limits.ratio_after_bytes and self.count > limits.ratio * self._packed.count:
            raise _Unsafe(None, f"more than {limits.ratio} unpacked bytes for each packed byte", "less")
        return data


class _Headers:
    """Looks at each header before tarfile acts on it, and remembers how the archive ended.

    tarfile reads an extended header whole into memory, whatever size it claims, calls itself for each that
    follows another, and takes quadratic time on crafted PAX records (CVE-2024-6232). Hence the three limits.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = self._extended_bytes = self._nested = 0
        self.ended = False
        self.damaged = False

    def tarinfo(self) -> type[tarfile.TarInfo]:
        """Return the class that makes tarfile ask here."""
        headers = self
        # Security updates of 2026 moved the work of frombuf into _frombuf and call that directly.
        name = "_frombuf" if hasattr(tarfile.TarInfo, "_frombuf") else "frombuf"
        parse = getattr(tarfile.TarInfo, name).__func__

        def looked_at(
            cls: type[tarfile.TarInfo], /, buf: bytes, encoding: str | None, errors: str, **options: bool
        ) -> tarfile.TarInfo:
            try:
                info: tarfile.TarInfo = parse(cls, buf, encoding or "utf-8", errors, **options)
            except tarfile.HeaderError:
                headers.note_end(bytes(buf))
                raise
            headers.check(info)
            return info

        # Elsewhere nothing tells of a map of holes, and where tarfile cannot read it, it is as any damage.
        maps = dict.fromkeys(("_proc_gnusparse_00", "_proc_gnusparse_01", "_proc_gnusparse_10"), _sparse)
        return type("Guarded", (tarfile.TarInfo,), {name: classmethod(looked_at), **maps})

    def looked_at(self, members: int) -> bool:
        """Whether every member's header came by here: else this Python's tarfile is not the one we know."""
        return self._count >= members

    def note_end(self, block: bytes) -> None:
        """Remember what stands in a header's place: the zeros of the end, or something else."""
        if len(block) == tarfile.BLOCKSIZE:
            self.ended = not any(block)
            self.damaged = not self.ended

    def check(self, info: tarfile.TarInfo) -> None:
        """Refuse what must not be in a bundle, and headers that would cost too much."""
        self._count += 1
        if self._count > 2 * self._limits.members:
            raise _Unsafe(None, f"more than {self._limits.members} members", "fewer")
        if info.size < 0:
            raise _Unsafe(shown(info.name), "a negative size", "a size")
        if info.type in _EXTENDED:
            self._nested += 1
            self._extended_bytes += info.size
            too_large = info.size > _HEADER_BYTES or self._extended_bytes > self._limits.header_bytes
            if too_large or self._nested > _NESTED_HEADERS:
                raise _Unsafe(None, "oversized extended headers (names, PAX records)", "small ones")
            return
        self._nested = 0
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
            found = _TYPES.get(info.type, f"an entry of type {info.type!r}")
            raise _Unsafe(shown(info.name), found, "files and folders only")


def _sparse(_: tarfile.TarInfo, member: tarfile.TarInfo, *_more: object) -> None:
    """Stand where tarfile reads the map of a sparse file that PAX records announce."""
    raise _Unsafe(shown(member.name), _TYPES[tarfile.GNUTYPE_SPARSE], "files and folders only")


class _Names:
    """The rules for names over the whole archive."""

    def __init__(self, *, loose: bool = False) -> None:
        self.folder: str | None = None
        self._loose = loose
        self._seen: dict[str, tuple[str, bool]] = {}

    def accept(self, info: tarfile.TarInfo) -> str | None:
        """Return the path below the top folder, of a loose archive the whole one; None for a folder."""
        name = info.name.removeprefix("./").rstrip("/") if info.name not in (".", "./") else ""
        if not name and info.isdir():
            return None
        parts = name.split("/")
        if not name or name.startswith("/") or ".." in parts:
            raise _Unsafe(shown(info.name), "a path that leaves the folder of the bundle", "a path inside it")
        if "" in parts or "." in parts:
            raise _Unsafe(shown(info.name), "a path with an empty part", "a plain path")
        if self.folder is None:
            self.folder = parts[0]
        elif parts[0] != self.folder and not self._loose:
            raise _Unsafe(shown(name), f"a second top folder beside {shown(self.folder)}", "one top folder")
        key = name.casefold()
        entry = (name, info.isdir())
        if key in self._seen and (self._seen[key] != entry or info.isfile()):
            raise _Unsafe(shown(name), f"the same name as {shown(self._seen[key][0])}", "each name once")
        self._seen[key] = entry
        if info.isdir():
            return None
        if self._loose:
            return name
        if len(parts) == 1:
            raise _Unsafe(
                shown(name), "a file outside the top folder", "one top folder that holds everything"
            )
        return name[len(parts[0]) + 1 :]


def read_archive(path: Path, limits: Limits, identity: Path | None = None) -> Archive:
    """Return what the archive holds, as far as it is whole.

    Args:
        path: The file.
        limits: What is read before it is refused.
        identity: File with the key of an encrypted archive.

    Raises:
        UnusableInput: It cannot be opened, is no tar archive, is not safe, passes a limit, or is encrypted
            and cannot be decrypted.
    """
    try:
        refuse_no_file(path, _EXPECTED)
        with path.open("rb") as file:
            encrypted = file.read(_HEAD).startswith(_ENCRYPTED)
            if not encrypted:
                file.seek(0)
                return _read(path, file, limits)
        from vnetkb.bundle.cipher import cipher_of, decrypted, sum_of  # noqa: PLC0415  # most bundles are clear

        cipher = cipher_of(path)
        with decrypted(path, cipher, identity) as clear:
            archive = _read(path, clear, limits)
        return archive._replace(sha256=sum_of(path, limits.total_bytes))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UnusableInput(f"cannot be read: {reason}", file=shown(str(path))) from None


def refuse_no_file(path: Path, expected: str) -> None:
    """Refuse what is no regular file before it is opened: a FIFO or a device can wait without end.

    Raises:
        UnusableInput: It is a folder, a FIFO, a socket or a device.
        OSError: It is not there, or nobody may look.
    """
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise UnusableInput(
            file=shown(str(path)), found=_KINDS.get(kind, "no regular file"), expected=expected
        )


def is_tar(data: bytes) -> bool:
    """Return whether data begins like a tar archive."""
    return data[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


def read_loose(name: str, data: bytes, limits: Limits) -> Archive:
    """Return what a tar archive in memory holds, whose files may stand in any folders or in none.

    Args:
        name: What to call it in errors.
        data: The archive, not compressed.
        limits: What is read before it is refused.

    Raises:
        UnusableInput: It is no tar archive, is not safe, or passes a limit.
    """
    return _read(Path(name), io.BytesIO(data), limits, loose=True)


def _read(path: Path, file: BinaryIO, limits: Limits, *, loose: bool = False) -> Archive:
    packed = _Packed(file, limits.total_bytes)
    head = packed.peek(tarfile.BLOCKSIZE)
    source: _Readable
    gunzip: _Gunzip | None = None
    if head.startswith(_GZIP):
        source = gunzip = _Gunzip(packed)
    elif is_tar(head):
        source = packed
    else:
        raise UnusableInput(file=shown(path.name), found=_kind_of(head), expected=_EXPECTED)
    stream = _Unpacked(source, packed, limits)
    names = _Names(loose=loose)
    members: dict[str, Member] = {}
    try:
        damage, cut_off, end = _members(stream, names, members, limits)
        # read to the end of the file: only there does gzip check its sum
        while stream.read(_CHUNK):
            pass
        if damage is None and (
            stream.full > end
            or stream.count > end + _END_BYTES + tarfile.RECORDSIZE
            or (gunzip is not None and (gunzip.foreign or gunzip.last_from >= end + _END_BYTES))
        ):
            damage = tr("data follows the end of the archive")
        digest = packed.sum_of_all()
    except _Unsafe as unsafe:
        hint = looks_like([names.folder or "", *members])
        raise UnusableInput(
            f"refused{f', looks like {hint}' if hint else ''}",
            file=shown(path.name),
            member=unsafe.member,
            found=unsafe.found,
            expected=unsafe.expected,
        ) from None
    if names.folder is None:
        found = stream.damage or damage or "no tar archive in it"
        if gunzip is not None and stream.head and stream.damage is None and not is_tar(stream.head):
            found = f"no tar archive in it but {_kind_of(stream.head)}"
        raise UnusableInput(file=shown(path.name), found=found, expected=_EXPECTED)
    # what tarfile takes for the end of the file may be where the compressed data is damaged
    cut_off = stream.cut_off if stream.damage is not None else cut_off
    return Archive(names.folder, members, digest, stream.damage or damage, cut_off=cut_off)


def _members(
    stream: _Unpacked, names: _Names, members: dict[str, Member], limits: Limits
) -> tuple[str | None, bool, int]:
    """Read members to the end or the first damage; return that, whether the file is cut off, and the end."""
    headers = _Headers(limits)
    end = 0
    inside: str | None = None
    try:
        with tarfile.open(
            fileobj=cast("BinaryIO", stream),
            mode="r|",
            tarinfo=headers.tarinfo(),
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            for count, info in enumerate(tar, 1):
                if not headers.looked_at(count):
                    raise VnetkbError("this Python's tarfile reads headers in a way that vnetkb cannot guard")
                _check_member(info, count, limits)
                name = names.accept(info)
                end = info.offset_data + (-info.size // tarfile.BLOCKSIZE) * -tarfile.BLOCKSIZE
                if name is None:
                    continue
                inside = name
                opened = tar.extractfile(info)
                data = opened.read() if opened is not None else b""
                inside = None
                members[name] = Member(data, hashlib.sha256(data).hexdigest())
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        if inside is not None:
            return tr("the archive is cut off inside {member}", member=shown(inside)), True, end
        if not headers.damaged:
            return _CUT_OFF, True, end
        return tr("the archive is damaged ({error})", error=shown(str(error))), False, end
    if headers.ended:
        return None, False, end
    return ("a header in the archive is damaged", False, end) if headers.damaged else (_CUT_OFF, True, end)


def _check_member(info: tarfile.TarInfo, count: int, limits: Limits) -> None:
    if count > limits.members:
        raise _Unsafe(None, f"more than {limits.members} members", "fewer")
    if info.sparse is not None:
        raise _Unsafe(shown(info.name), "a sparse file", "files and folders only")
    if not 0 <= info.size <= limits.member_bytes:
        raise _Unsafe(shown(info.name), f"{info.size} bytes", f"at most {limits.member_bytes} bytes")


def _kind_of(head: bytes) -> str:
    if not head:
        return "an empty file"
    for magic, name in _OTHER_FORMATS:
        if head.startswith(magic):
            return name
    return "text" if b"\0" not in head and head[:1].isascii() else "data that is no archive"


def looks_like(names: list[str]) -> str | None:
    """Return what kind of archive holds members of these names, None where nothing tells."""
    for mark, kind in _FOREIGN:
        if any(name.startswith(mark) or f"/{mark}" in name for name in names):
            return kind
    return None


def shown(name: str) -> str:
    """Return a name from the archive as one printable line, other characters escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name[:200])
