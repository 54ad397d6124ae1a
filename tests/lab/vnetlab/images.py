# SPDX-License-Identifier: Apache-2.0
"""What a machine of the lab is booted from: Debian's kernels, a userland, a guest; all kept in a cache.

Everything is fetched with apt from Debian's archive, with lists and state of its own: the computer that runs
the lab is not changed. Removing the cache, $VNETKB_LAB_CACHE or ~/.cache/vnetkb-lab, costs a few minutes.
"""

import gzip
import hashlib
import json
import lzma
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
INSIDE = Path(__file__).resolve().parents[1] / "inside"

# Open vSwitch 3.1 of bookworm loses every upcall on 6.12; trixie's 3.5 does not.
USERLAND_SUITES = {"5.10": "bookworm", "6.1": "bookworm", "6.12": "trixie", "7.2": "trixie"}
USERLAND_PACKAGES = (
    "busybox-static",
    "ethtool",
    "iproute2",
    "kmod",
    "openvswitch-switch",
    "procps",
    "python3",
)
# The half of a userland is QEMU, which only machines with a VM in them need.
VM_PACKAGES = ("qemu-system-x86",)
GUEST_SUITE = "bookworm"
# What the initial file system needs to find and mount the disks; the rest is loaded from the modules' disk.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4", "overlay", "virtio_console")
GUEST_MODULES = ("virtio_pci", "virtio_net")
GUEST_KERNEL = "6.1"
GUEST_BOOT_LIMIT_S = 120
FETCHES = 3
FETCH_PAUSE_S = 10
RETRY_OPTION = "Acquire::Retries=5"
TAIL = 12


class LabError(Exception):
    """The lab cannot work here, or something in it went wrong; the message says what."""


@dataclass(frozen=True)
class Source:
    """Where a kernel comes from.

    Attributes:
        suites: Suites of Debian's archive to read; the newest version in any of them is taken.
        package: The package that depends on the kernel image.
    """

    suites: tuple[str, ...]
    package: str


KERNELS = {
    "5.10": Source(("bullseye", "bullseye-security"), "linux-image-cloud-amd64"),
    "6.1": Source(("bookworm", "bookworm-security"), "linux-image-cloud-amd64"),
    "6.12": Source(("bookworm", "bookworm-security"), "linux-image-6.12-cloud-amd64"),
    "7.2": Source(("sid",), "linux-image-cloud-amd64"),
}


@dataclass(frozen=True)
class Kernel:
    """A kernel in the cache: release as uname -r says it, image, and a disk with its modules."""

    name: str
    release: str
    image: Path
    modules: Path
    boot: Path


def cache() -> Path:
    """Return the folder of what was fetched and built."""
    told = os.environ.get("VNETKB_LAB_CACHE")
    folder = Path(told) if told else Path.home() / ".cache" / "vnetkb-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def why_unavailable() -> str | None:
    """Say what the lab needs and does not find here, or return None."""
    needed = ("qemu-system-x86_64", "apt-get", "dpkg-deb", "mmdebstrap", "mke2fs", "depmod", "gcc")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    lacking = [tool for tool in needed if shutil.which(tool, path=path) is None]
    return f"needs {', '.join(lacking)}" if lacking else None


def why_not_built(kernels: Iterable[str]) -> str | None:
    """Fetch and build what machines with these kernels need; say what went wrong, or return None."""
    try:
        tools()
        for name in kernels:
            kernel(name)
            userland(USERLAND_SUITES[name])
    except LabError as error:
        return str(error)
    return None


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        LabError: It failed; the message ends with the last lines of its stderr.
    """
    environment = os.environ | {"LC_ALL": "C", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        # apt sets the terminal that it reads from, and is stopped where it runs in the background
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-TAIL:])
        raise LabError(f"{command[0]} failed ({done.returncode}): {tail}")
    return done.stdout


def fetch(*command: str | Path, cwd: Path | None = None, made: Path | None = None) -> str:
    """Run a command that asks the archive, again if it fails: a mirror may be busy, or be changing just then.

    Args:
        command: The command.
        cwd: Where it runs.
        made: What it makes; what a failed attempt left of that is removed.

    Raises:
        LabError: It failed each time.
    """
    for _ in range(FETCHES - 1):
        try:
            return call(*command, cwd=cwd)
        except LabError as error:
            sys.stderr.write(f"again in {FETCH_PAUSE_S} s: {error}\n")
            if made is not None:
                shutil.rmtree(made, ignore_errors=True)
            time.sleep(FETCH_PAUSE_S)
    return call(*command, cwd=cwd)


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a folder to build in; `target` appears only when the body ended well."""
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".building-") as folder:
        made = Path(folder) / target.name
        made.mkdir()
        yield made
        target.parent.mkdir(parents=True, exist_ok=True)
        made.rename(target)


def archives() -> tuple[str, str]:
    """Return the addresses of Debian's archive and of its security archive that this machine itself uses.

    Raises:
        LabError: apt knows no archive here.
    """
    told = call("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    found = sorted({address.rstrip("/") for address in told})
    plain = next((address for address in found if "security" not in address), None)
    if plain is None:
        raise LabError("apt knows no archive here: /etc/apt names none")
    return plain, next((address for address in found if "security" in address), f"{plain}-security")


def _sources(suites: Iterable[str]) -> list[str]:
    archive, security = archives()
    return [
        f"deb [signed-by={KEYRING}] {security if suite.endswith('-security') else archive} {suite} main"
        for suite in suites
    ]


def _apt(suites: tuple[str, ...]) -> list[str]:
    """Return apt's options for these suites, with lists of their own, made up to date once."""
    folder = cache() / "apt" / "+".join(suites)
    options = [
        "-o", f"Dir::Etc::sourcelist={folder}/sources.list",
        "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::Lists={folder}/lists",
        "-o", f"Dir::Cache={folder}/cache",
        "-o", "APT::Sandbox::User=root",
        "-o", RETRY_OPTION,
    ]  # fmt: skip
    if not folder.is_dir():
        with building(folder) as made:
            (made / "lists" / "partial").mkdir(parents=True)
            (made / "cache" / "archives" / "partial").mkdir(parents=True)
            (made / "sources.list").write_text("\n".join(_sources(suites)) + "\n", encoding="ascii")
            fetch("apt-get", "-qq", *[option.replace(str(folder), str(made)) for option in options], "update")
    return options


def _kernel_packages(options: list[str], package: str) -> set[str]:
    """Return the packages with the image and the modules that `package` leads to."""
    shown = call("apt-cache", *options, "--no-all-versions", "show", package)
    found = {package} if re.match(r"linux-(image|binary|modules)-\d", package) else set()
    for line in shown.splitlines():
        if line.startswith("Depends:"):
            for name in re.findall(r"linux-(?:image|binary|modules)-\d\S*?-cloud-amd64\b(?!-)", line):
                if name != package:
                    found |= _kernel_packages(options, name)
    return found


def kernel(name: str) -> Kernel:
    """Return the kernel `name` ("6.1"), fetched when it is not in the cache yet."""
    if name not in KERNELS:
        raise LabError(f"no kernel {name}: there are {', '.join(KERNELS)}")
    folder = cache() / "kernels" / name
    if not folder.is_dir():
        with building(folder) as made:
            _fetch_kernel(KERNELS[name], made)
    release = (folder / "release").read_text(encoding="ascii").strip()
    inside = sorted(file for file in INSIDE.iterdir() if file.suffix != ".c")
    boot = folder / f"boot-{_sum_of(*inside)}.cpio.gz"
    if not boot.exists():
        modules = sorted((folder / "boot-modules").iterdir())
        members = {f"modules/{file.name}": file.read_bytes() for file in modules}
        members |= {f"lab/{file.name}": file.read_bytes() for file in inside if file.is_file()}
        members["init"] = (INSIDE / "boot-init").read_bytes()
        members["busybox"] = (userland(GUEST_SUITE) / "busybox").read_bytes()
        boot.write_bytes(cpio_archive(members, executable={"init", "busybox"}))
    return Kernel(name, release, folder / "vmlinuz", folder / "modules.ext4", boot)


def _fetch_kernel(source: Source, made: Path) -> None:
    options = _apt(source.suites)
    with tempfile.TemporaryDirectory(dir=cache()) as work:
        root = Path(work) / "root"
        packages = _kernel_packages(options, source.package)
        try:
            call("apt-get", "-qq", *options, "download", *packages, cwd=Path(work))
        except LabError:
            # Lists of some time ago name packages that the archive has replaced since.
            fetch("apt-get", "-qq", *options, "update")
            packages = _kernel_packages(options, source.package)
            fetch("apt-get", "-qq", *options, "download", *packages, cwd=Path(work))
        for package in Path(work).glob("*.deb"):
            call("dpkg-deb", "-x", package, root)
        # From trixie on modules live in /usr/lib.
        tree = next(path for path in (root / "usr/lib/modules", root / "lib/modules") if path.is_dir())
        release = next(path.name for path in tree.iterdir())
        image = next(path for path in root.rglob("vmlinuz*") if path.is_file())
        shutil.copyfile(image, made / "vmlinuz")
        (made / "release").write_text(release + "\n", encoding="ascii")
        base = Path(work) / "base" / "lib"
        base.mkdir(parents=True)
        tree.rename(base / "modules")
        call("depmod", "-b", base.parent, release)
        _disk_image(base / "modules", made / "modules.ext4")
        for folder, wanted in (("boot-modules", BOOT_MODULES), ("guest-modules", GUEST_MODULES)):
            (made / folder).mkdir()
            for number, file in enumerate(_with_dependencies(base / "modules" / release, wanted)):
                data = file.read_bytes()
                name = f"{number:02}-{file.name.removesuffix('.xz')}"
                (made / folder / name).write_bytes(lzma.decompress(data) if file.suffix == ".xz" else data)


def _with_dependencies(tree: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of these modules and of what they need, in the order of loading; built-in: none."""
    needs: dict[str, list[str]] = {}
    for line in (tree / "modules.dep").read_text(encoding="ascii").splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    by_name = {Path(file).name.split(".")[0].replace("-", "_"): file for file in needs}
    ordered: list[str] = []
    for name in wanted:
        if name in by_name:
            # modules.dep lists what to load first last.
            ordered += [*reversed(needs[by_name[name]]), by_name[name]]
    return [tree / file for file in dict.fromkeys(ordered)]


def _disk_image(tree: Path, image: Path) -> None:
    """Make an ext4 image of a folder, without a journal, with a little room to spare."""
    kib = int(call("du", "-sk", "--apparent-size", tree).split()[0])
    files = sum(1 for _ in tree.rglob("*"))
    kib += kib // 8 + files + 4096
    call(
        "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0",
        "-N", str(files + files // 4 + 1024),
        "-U", "00000000-0000-0000-0000-000000000001", "-d", tree, image, f"{kib}k",
    )  # fmt: skip


def userland(suite: str, packages: tuple[str, ...] = USERLAND_PACKAGES) -> Path:
    """Return the folder with a root file system of the machines, `root.ext4`, and a static `busybox`."""
    recipe = "\n".join((suite, *packages))
    folder = cache() / "userland" / hashlib.sha256(recipe.encode()).hexdigest()[:12]
    if not folder.is_dir():
        with building(folder) as made, tempfile.TemporaryDirectory(dir=cache()) as work:
            root = Path(work) / "root"
            fetch(
                "mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(packages)}",
                f"--aptopt={RETRY_OPTION.replace('=', ' ')}",
                "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
                suite, root, *_sources((suite, f"{suite}-security")), made=root,
            )  # fmt: skip
            shutil.rmtree(root / "var/cache", ignore_errors=True)
            shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
            (root / "var/cache").mkdir()
            for place in ("lab", "lib/modules", "state"):
                (root / place).mkdir(exist_ok=True)
            shutil.copyfile(root / "bin/busybox", made / "busybox")
            _disk_image(root, made / "root.ext4")
    return folder


def tools() -> Path:
    """Return the folder with the programs of inside/*.c, compiled here, without need of any library."""
    sources = sorted(INSIDE.glob("*.c"))
    folder = cache() / "tools" / _sum_of(*sources)
    if not folder.is_dir():
        with building(folder) as made:
            for source in sources:
                call(
                    "gcc",
                    "-O2",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-static",
                    "-pthread",
                    "-o",
                    made / source.stem,
                    source,
                )
    return folder


def guest_command() -> list[str]:
    """Return the guest's QEMU with everything but its network, its monitors and its name, as in /state."""
    return [
        "qemu-system-x86_64", "-machine", "pc-i440fx-7.2", "-accel", "tcg", "-cpu", "qemu64", "-m", "96",
        "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none",
    ]  # fmt: skip


# No queue_reset: vhost does not offer it, and what was negotiated must hold where the state is loaded.
GUEST_NIC = (
    "virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:aa:bb:01,bus=pci.0,addr=0x3,romfile=,queue_reset=off"
)
# A hub with one port: a network that leaves nothing of its own in the saved state.
GUEST_NETWORK = ("-netdev", "hubport,id=hostnet0,hubid=0", "-device", GUEST_NIC)
GUEST_BOOT = ("-append", "console=ttyS0 rdinit=/init quiet mitigations=off")


def guest_state() -> Path:
    """Return a disk image with the small Linux guest: kernel, initrd, and `saved`, its state after booting.

    Booting a guest inside a machine takes minutes, loading its state takes seconds. The state is made with
    this computer's QEMU: it must write what the QEMU of the userland (7.2) reads.
    """
    source = kernel(GUEST_KERNEL)
    modules = sorted((source.image.parent / "guest-modules").iterdir())
    members = {f"modules/{file.name}": file.read_bytes() for file in modules}
    members["init"] = (INSIDE / "guest-init").read_bytes()
    members["busybox"] = (userland(GUEST_SUITE) / "busybox").read_bytes()
    members["receive"] = (tools() / "receive").read_bytes()
    initrd = cpio_archive(members, executable={"init", "busybox", "receive"})
    recipe = initrd + " ".join((source.release, *guest_command(), *GUEST_NETWORK, *GUEST_BOOT)).encode()
    folder = cache() / "guest" / hashlib.sha256(recipe).hexdigest()[:12]
    if not folder.is_dir():
        with building(folder) as made, tempfile.TemporaryDirectory(dir=cache()) as work:
            tree = Path(work)
            shutil.copyfile(source.image, tree / "vmlinuz")
            (tree / "initrd").write_bytes(initrd)
            _save_guest(tree)
            _disk_image(tree, made / "state.ext4")
    return folder / "state.ext4"


def _save_guest(tree: Path) -> None:
    """Boot the guest of `tree` on this computer and leave its state there as `saved`."""
    with tempfile.TemporaryDirectory() as folder:
        serial = Path(folder) / "serial"
        command = [
            "nice", "-n", "10", *guest_command(), "-kernel", str(tree / "vmlinuz"),
            "-initrd", str(tree / "initrd"), *GUEST_BOOT, *GUEST_NETWORK, "-serial", f"file:{serial}",
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until = time.monotonic() + GUEST_BOOT_LIMIT_S
            while not (serial.exists() and "guest ready" in serial.read_text(errors="replace")):
                if process.poll() is not None:
                    raise LabError(f"the guest's QEMU ended: {process.communicate()[1]}")
                if time.monotonic() > until:
                    raise LabError(f"the guest does not boot: {serial.read_text(errors='replace')[-500:]}")
                time.sleep(0.2)
            qmp = (sys.executable, INSIDE / "qmp.py", f"{folder}/qmp")
            call(*qmp, "stop")
            call(*qmp, "migrate", json.dumps({"uri": f"exec:cat >{shlex.quote(str(tree / 'saved'))}"}))
            while (status := json.loads(call(*qmp, "query-migrate"))["status"]) != "completed":
                if status == "failed" or time.monotonic() > until:
                    raise LabError(f"saving the guest: {status}")
                time.sleep(0.2)
        finally:
            process.kill()
            process.communicate()


def _sum_of(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def cpio_archive(members: Mapping[str, bytes], executable: Iterable[str]) -> bytes:
    """Return a packed archive in the "newc" format of cpio(5), which the kernel unpacks at boot."""
    folders = {str(parent) for name in members for parent in Path(name).parents} - {"."}
    entries = [(name, 0o040755, b"") for name in sorted(folders)]
    entries += [
        (name, 0o100755 if name in executable else 0o100644, data) for name, data in sorted(members.items())
    ]
    packed = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        packed += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        packed += b"\0" * (-len(packed) % 4)
        packed += data + b"\0" * (-len(data) % 4)
    return gzip.compress(bytes(packed), compresslevel=1, mtime=0)
