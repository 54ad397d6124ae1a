# SPDX-License-Identifier: Apache-2.0
"""The `vnetkb` command: the only module that prints, catches errors and sets the exit status.

Everything a command needs is imported inside it, so that `vnetkb --help` answers at once.
"""

import gc
import os
import signal
import sys
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vnetkb import __version__
from vnetkb.errors import (
    EXIT_DEFECT,
    EXIT_DONE,
    EXIT_FINDINGS,
    EXIT_USAGE,
    UnusableInput,
    UsageProblem,
    VnetkbError,
)
from vnetkb.language import Language, speaking
from vnetkb.printable import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vnetkb.bundle import Bundle
    from vnetkb.bundle.archive import Archive
    from vnetkb.diagnosis import Diagnosis
    from vnetkb.facts import Observations
    from vnetkb.kb.model import KnowledgeBase, Rule

app = typer.Typer(
    name="vnetkb",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
kb_app = typer.Typer(
    name="kb",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check the knowledge base itself.",
)
app.add_typer(kb_app)


class PathFormat(StrEnum):
    """How a path is written."""

    TEXT = "text"
    JSON = "json"


IdentityOption = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        metavar="KEYFILE",
        show_default=False,
        help="The key of an encrypted bundle: identities of age, or a secret key that gpg exported.",
    ),
]


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    MARKDOWN = "markdown"


class FailOn(StrEnum):
    """From which harm on a finding makes the exit status 1."""

    HARMFUL = "harmful"
    WATCH = "watch"
    ANY = "any"


class PlainFormat(StrEnum):
    """How a comparison is written."""

    TEXT = "text"
    JSON = "json"


class Table(StrEnum):
    """How tables are written."""

    CSV = "csv"
    PARQUET = "parquet"


class Script(StrEnum):
    """A collector that `collect --print` writes out."""

    HOST = "host"
    GUEST_LINUX = "guest-linux"
    GUEST_WINDOWS = "guest-windows"
    GUEST_WINDOWS_CMD = "guest-windows-cmd"


BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", show_default=False, help="A bundle that vnetkb-collect wrote.")
]
OverlayOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--kb",
        metavar="DIR",
        show_default=False,
        help="A folder with knowledge of your own, laid out as kb/: adds to ours or replaces it. Repeatable.",
    ),
]
LanguageOption = Annotated[
    Language, typer.Option("--lang", help="The language of what is told; names and code stay as they are.")
]


def _print_version(asked: bool) -> None:
    if asked:
        _emit(f"vnetkb {__version__}\n")
        raise typer.Exit


@app.callback()
def _vnetkb(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback when vnetkb itself fails.")
    ] = False,
) -> None:
    """Find out where, why and how badly a VM's virtual network port (vnet, tap) loses packets.

    \b
    On the host of the VM, as root (reads only, changes nothing):
        vnetkb collect --interval 10
    Anywhere, offline:
        vnetkb analyze vnetkb-node7-20261122T134500Z.tar.gz

    \b
    Exit status: 0 done; 1 done, and something was found (see analyze --fail-on);
    2 usage; 3 the input cannot be used; 4 a defect of vnetkb.
    """


@app.command(short_help="Say where, why and how badly ports lose packets.")
def analyze(
    bundle: BundleArgument,
    report_format: Annotated[
        Format,
        typer.Option("--format", help="text or html to read, markdown for a ticket, json for programs."),
    ] = Format.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="Write the report there instead of to standard output; - is standard output.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Only this device, with its loss of the past too. Repeatable.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Show every candidate, and loss that happened before the first snapshot."),
    ] = False,
    kb: OverlayOption = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 if a finding is at least this bad.")
    ] = FailOn.HARMFUL,
    lang: LanguageOption = Language.ENGLISH,
    identity: IdentityOption = None,
    guest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            show_default=False,
            help="What vnetkb-guest wrote inside this VM. Repeatable.",
        ),
    ] = None,
) -> None:
    """Say where a bundle's ports lose packets, why, how sure that is, and what to do.

    \b
    Example, for a person and for a program:
        vnetkb analyze vnetkb-node7-20261122T134500Z.tar.gz
        vnetkb analyze --format json -o report.json vnetkb-node7-20261122T134500Z.tar.gz
        vnetkb analyze --format html -o report.html vnetkb-node7-20261122T134500Z.tar.gz
    """
    from vnetkb.diagnosis import diagnose
    from vnetkb.facts import build

    devices = frozenset(device or ())
    with speaking(lang, kb or ()):
        knowledge = _knowledge(kb, lang)
        observations = build(_with_guests(_read(bundle, identity), guest or ()), knowledge, devices)
        _check_devices(devices, observations, bundle)
        diagnosis = diagnose(observations, knowledge, devices=devices, every=everything)
        report = _rendered(diagnosis, report_format, everything=everything)
    _write(report, output)
    raise typer.Exit(_status(diagnosis, fail_on))


def _knowledge(overlays: list[Path] | None, language: Language = Language.ENGLISH) -> "KnowledgeBase":
    """Return the knowledge base; an overlay is linted before it is used, ours was when it was made."""
    if overlays:
        from vnetkb.kb.lint import load_with

        return load_with(overlays, language)
    from vnetkb.kb.load import load_kb

    return load_kb((), language)


def _read(file: Path, identity: Path | None = None) -> "Bundle":
    from vnetkb.bundle import read_bundle

    return read_bundle(file, identity=identity)


def _with_guests(bundle: "Bundle", guests: "Sequence[str]") -> "Bundle":
    """Put what was collected inside VMs beside what their host's collector took."""
    for pair in guests:
        from vnetkb.bundle.guest_file import with_guest

        name, equals, file = pair.partition("=")
        if not name or not equals or not file:
            raise UsageProblem(f"--guest {pair}: expected NAME=FILE")
        bundle = with_guest(bundle, name, Path(file))
    return bundle


def _check_devices(devices: "Collection[str]", observations: "Observations", bundle: Path) -> None:
    known = sorted(name for kind, name in observations.subjects if kind == "tap")
    for device in sorted(devices):
        if device not in known:
            raise UsageProblem(
                f"--device {device}: {bundle} has no such port, expected one of: {', '.join(known) or 'none'}"
            )


def _rendered(diagnosis: "Diagnosis", report_format: Format, *, everything: bool) -> str:
    from vnetkb.report import render_json, render_text

    if report_format is Format.JSON:
        return printable_json(render_json(diagnosis))
    if report_format is Format.HTML:
        from vnetkb.report.as_html import render_html

        return printable(render_html(diagnosis, every=everything))
    if report_format is Format.MARKDOWN:
        from vnetkb.report.as_markdown import render_markdown

        return printable(render_markdown(diagnosis, every=everything))
    return printable(render_text(diagnosis, every=everything))


def _status(diagnosis: "Diagnosis", fail_on: FailOn) -> int:
    """Return the exit status: loss of the past never counts, unknown harm counts as watch."""
    failing = {
        FailOn.HARMFUL: {"harmful"},
        FailOn.WATCH: {"harmful", "watch", "unknown"},
        FailOn.ANY: {"harmful", "watch", "unknown", "harmless"},
    }[fail_on]
    found = any(finding.harm in failing for finding in diagnosis.findings if finding.symptom.state != "past")
    found = found or (diagnosis.unjudged > 0 and "unknown" in failing)
    return EXIT_FINDINGS if found else EXIT_DONE


@app.command(short_help="Hold two bundles of a host against each other: did it help?")
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", show_default=False, help="The earlier bundle.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", show_default=False, help="The later bundle.")],
    report_format: Annotated[
        PlainFormat, typer.Option("--format", help="text to read, json for programs.")
    ] = PlainFormat.TEXT,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="Write it there instead."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show counters too that moved about as before.")
    ] = False,
    kb: OverlayOption = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 if a finding of AFTER is at least this bad.")
    ] = FailOn.HARMFUL,
    lang: LanguageOption = Language.ENGLISH,
    identity: IdentityOption = None,
) -> None:
    """Say which counters stopped or started moving between two bundles, and whether a remedy helped.

    Both are of one host. Each has movement of its own, between its snapshots: rates and shares are compared.

    \b
    Example:
        vnetkb compare before.tar.gz after.tar.gz
    """
    from vnetkb.diagnosis import diagnose
    from vnetkb.diagnosis.compare import compare as held_against
    from vnetkb.facts import build
    from vnetkb.report import comparison

    with speaking(lang, kb or ()):
        knowledge = _knowledge(kb, lang)
        observed = [build(_read(bundle, identity), knowledge) for bundle in (before, after)]
        first, second = ((one, diagnose(one, knowledge)) for one in observed)
        found = held_against(first, second, knowledge)
        report = (
            printable_json(comparison.render_json(found))
            if report_format is PlainFormat.JSON
            else printable(comparison.render_text(found, every=everything))
        )
    _write(report, output)
    raise typer.Exit(_status(second[1], fail_on))


@app.command(short_help="Show the packets' path to a device, with counts.")
def path(
    bundle: BundleArgument,
    to: Annotated[str, typer.Option("--to", metavar="DEVICE", help="The device that packets are sent to.")],
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PORT", show_default=False, help="The device by which they come into the host."
        ),
    ] = None,
    path_format: Annotated[
        PathFormat, typer.Option("--format", help="text to read, json for programs.")
    ] = PathFormat.TEXT,
    lang: LanguageOption = Language.ENGLISH,
    identity: IdentityOption = None,
) -> None:
    """Show what packets pass on their way to a device, what each point counted, and where they are lost.

    \b
    Example:
        vnetkb path --to vnet3 vnetkb-node7-20261122T134500Z.tar.gz
        vnetkb path --from eth0 --to vnet3 vnetkb-node7-20261122T134500Z.tar.gz
    """
    from vnetkb.facts import build
    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.path import path_in
    from vnetkb.facts.ways import refusal
    from vnetkb.report.as_path import render_path, render_path_json

    with speaking(lang):
        observations = build(_read(bundle, identity), _knowledge(None, lang), {to, since or to})
        devices = {s.name: s for s in observations.subjects.values() if isinstance(s, DeviceFacts)}
        for option, name in (("--to", to), ("--from", since)):
            if name is not None and name not in devices:
                fit = [one for one in devices if option == "--from" or path_in(observations, devices[one])]
                known = ", ".join(sorted(fit)) or "none"
                raise UsageProblem(f"{option} {name}: {bundle} has no such device, expected one of: {known}")
        entrance = devices[since] if since is not None else None
        no_way = refusal(entrance.topology, entrance.name, to) if entrance is not None else None
        if no_way is not None:
            raise UsageProblem(f"--from {since} --to {to}: {no_way}")
        found = path_in(observations, devices[to], entrance)
        if found is None:
            raise UsageProblem(f"--to {to}: no path to this kind of device is known ({devices[to].kind})")
        if path_format is PathFormat.JSON:
            text = printable_json(render_path_json(found))
        else:
            text = printable(render_path(found))
    _emit(text)


@app.command(short_help="Check that a bundle is whole, and what is missing.")
def validate(
    bundle: BundleArgument,
    identity: IdentityOption = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="SUM", show_default=False, help="The sum of the file as its sender told it."),
    ] = None,
) -> None:
    """Check a bundle: its manifest, its checksums, and what is missing in it.

    \b
    Example:
        vnetkb validate vnetkb-node7-20261122T134500Z.tar.gz
    """
    from vnetkb.bundle.validate import NOT_NAMED
    from vnetkb.bundle.validate import validate as examine
    from vnetkb.kb.load import load_kb

    knowledge = load_kb()
    outcome = examine(bundle, _complete(knowledge), identity=identity, sha256=sha256)
    for note in outcome.notes:
        _emit(printable(f"note     {note}\n"))
    for fault in outcome.faults:
        place = f"{fault.member}: " if fault.member else ""
        _emit(printable(f"{fault.level:8} {place}found {fault.found}, expected {fault.expected}\n"))
    unknown = [absent.id for absent in outcome.absent if absent.reason == NOT_NAMED]
    places: dict[tuple[str, str], list[str]] = {}
    for absent in outcome.absent:
        if absent.reason == NOT_NAMED:
            continue
        places.setdefault((absent.id, absent.reason), []).append(absent.member.rpartition("/")[0])
    for (capture, reason), where in places.items():
        cost = _cost(capture, knowledge)
        _emit(printable(f"missing  {', '.join(where)} {capture}: {reason}{cost}\n"))
    if unknown:
        line = (
            f"the collector names none of {_count(len(unknown), 'capture')} of today's: {', '.join(unknown)}"
        )
        _emit(printable(f"missing  host {line}\n"))
    count = len(places) + len(unknown)
    faults, missing = _count(len(outcome.faults), "fault"), _count(count, "missing capture")
    _emit(printable(f"{outcome.name}: {faults}, {missing}\nsha256 {outcome.sha256}\n"))
    raise typer.Exit(EXIT_FINDINGS if outcome.faults else EXIT_DONE)


def _complete(knowledge: "KnowledgeBase") -> list[str]:
    """Return what a whole bundle of a host names, be it there or not."""
    return [
        capture.id
        for capture in knowledge.captures.values()
        # What old tools print instead, ip-link-text for ip-link, is named only where it was taken.
        if capture.collector == "host" and not capture.ask and not capture.id.endswith("-text")
    ]


def _cost(capture: str, knowledge: "KnowledgeBase") -> str:
    """Say which rules cannot be told fully without a capture."""
    facts = {fact.name for fact in knowledge.facts.values() if capture in fact.captures}
    rules = sorted(rule.id for rule in knowledge.rules.values() if not facts.isdisjoint(_facts_of(rule)))
    if not rules:
        return ""
    more = f" and {len(rules) - NAMED_RULES} more" if len(rules) > NAMED_RULES else ""
    return f"; less evidence for {', '.join(rules[:NAMED_RULES])}{more}"


def _facts_of(rule: "Rule") -> set[str]:
    from vnetkb.kb.model import facts_of

    conditions = (*rule.applies_when, *(test.condition for test in rule.tests))
    return {name for condition in conditions for name in facts_of(condition)}


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


@app.command(
    short_help="Collect a bundle from this host.",
    options_metavar="[--print SCRIPT] [ARGS]...",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def collect(
    context: typer.Context,
    print_script: Annotated[
        Script | None,
        typer.Option(
            "--print",
            show_default=False,
            help="Write this collector script to standard output instead of running one.",
        ),
    ] = None,
) -> None:
    """Collect a bundle from this host with the packaged collector; all ARGS go to it.

    \b
    Examples: take one here; list its own options; take the script to a host without Python:
        vnetkb collect --interval 10
        vnetkb collect -- --help
        vnetkb collect --print host > vnetkb-collect
        vnetkb collect --print guest-linux > vnetkb-guest
    """
    from vnetkb.paths import collector

    if print_script is not None:
        if context.args:
            raise UsageProblem(f"collect --print takes no other arguments, found {' '.join(context.args)}")
        _emit(collector(print_script.value).read_bytes().decode("utf-8"))
        return
    script = collector("host")
    # Python ignores SIGPIPE and what it executes would inherit that: `collect --list | head` would complain.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp("sh", ["sh", str(script), *context.args])  # noqa: S606, S607 - sh wherever this system has it


@app.command(short_help="Show what is in a bundle, or one file of it.")
def show(
    bundle: BundleArgument,
    member: Annotated[
        str | None,
        typer.Argument(
            metavar="MEMBER",
            show_default=False,
            help="A file in it, as the listing names it: host/0/sysfs-net.",
        ),
    ] = None,
    identity: IdentityOption = None,
) -> None:
    """List what a bundle holds and why something is missing in it, or print one file of it, escaped.

    \b
    Example:
        vnetkb show vnetkb-node7-20261122T134500Z.tar.gz
        vnetkb show vnetkb-node7-20261122T134500Z.tar.gz host/0/sysfs-net
    """
    from vnetkb.bundle.archive import read_archive
    from vnetkb.bundle.limits import DEFAULT_LIMITS
    from vnetkb.bundle.reader import from_archive

    archive = read_archive(bundle, DEFAULT_LIMITS, identity)
    if member is None:
        _emit(printable(_listing(from_archive(bundle, archive, DEFAULT_LIMITS), archive)))
        return
    found = archive.members.get(member.removeprefix(f"{archive.folder}/"))
    if found is None:
        raise UsageProblem(f"{bundle}: there is no {member} in it; vnetkb show {bundle} lists what there is")
    _emit(printable(found.data.decode("utf-8", "surrogateescape")))


def _listing(bundle: "Bundle", archive: "Archive") -> str:
    manifest = bundle.manifest
    lines = [
        f"{bundle.folder}: {manifest.host}, Linux {manifest.kernel_release}, {manifest.start.wall}",
        *(f"{len(member.data):>9}  {name}" for name, member in sorted(archive.members.items())),
    ]
    absent = [capture for capture in manifest.captures if capture.absent is not None]
    lines += (
        f"  missing  {bundle.why_absent(capture.id, capture.snapshot, capture.scope)}" for capture in absent
    )
    lines += (
        f"  {notice.level:>7}  {notice.member or bundle.folder}: {notice.text}" for notice in bundle.notices
    )
    return "\n".join(lines) + "\n"


@app.command(short_help="Write counters, deltas and series as tables.")
def export(
    bundle: BundleArgument,
    to: Annotated[
        Table, typer.Option("--to", help="csv for spreadsheets, parquet for pandas and its like.")
    ] = Table.CSV,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="The folder for the files; without it, one named after the bundle in the current folder.",
        ),
    ] = None,
    identity: IdentityOption = None,
) -> None:
    """Write three tables: what each counter stood at, how far it moved, and every number of the series.

    \b
    Example:
        vnetkb export vnetkb-node7-20261122T134500Z.tar.gz --to parquet -o node7
    """
    from vnetkb.export import export as write_tables
    from vnetkb.facts import build

    read = _read(bundle, identity)
    target = output or Path(f"{Path(read.folder).name}-tables")
    kb = _knowledge(None)
    for file in write_tables(read, build(read, kb), kb, target, to.value):
        _emit(printable(f"{file}\n"))


@app.command(short_help="Mask names and addresses in a bundle.")
def redact(
    bundle: BundleArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="The masked bundle; without it, a name without the host's in the current folder.",
        ),
    ] = None,
    identity: IdentityOption = None,
) -> None:
    """Replace the names and addresses in a bundle by pseudonyms, and search the result for what is left.

    Equal things stay equal and subnets stay subnets, so the masked bundle gives the same diagnosis. Which
    pseudonym stands for what is written beside the result, into FILE.map, for you alone.

    \b
    Example:
        vnetkb redact vnetkb-node7-20261122T134500Z.tar.gz -o masked.tar.gz
    """
    from vnetkb.bundle.archive import read_archive
    from vnetkb.bundle.limits import DEFAULT_LIMITS
    from vnetkb.bundle.reader import from_archive
    from vnetkb.privacy import mask_bundle

    archive = read_archive(bundle, DEFAULT_LIMITS, identity)
    from_archive(bundle, archive, DEFAULT_LIMITS)
    masked = mask_bundle(archive)
    for leak in masked.leaks:
        _complain(f"{bundle}: {leak.member} line {leak.line} still holds {leak.what}")
    if masked.leaks:
        _complain(f"{bundle}: masking is not complete, nothing was written")
        raise typer.Exit(EXIT_FINDINGS)
    target = output or Path(f"{masked.name}.tar.gz")
    name_map = target.with_name(target.name.removesuffix(".gz").removesuffix(".tar") + ".map")
    _write_bytes(masked.map.encode("latin-1"), name_map, 0o600)
    _write_bytes(masked.data, target, 0o600)
    _emit(printable(masked.report()))
    _emit(printable(f"wrote {target}\nkeep  {name_map}: it says which pseudonym is whose\n"))


def _write_bytes(data: bytes, output: Path, mode: int) -> None:
    """Write a file that is either the old or the whole new one, readable as `mode` and the umask say."""
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            part.chmod(mode & ~mask)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageProblem(f"{output}: cannot be written: {error.strerror}") from error


@app.command(short_help="Say what a counter, a site, a rule or a tool's number means.")
def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="A counter, site, rule, fact or drop reason, or what a tool calls a number.",
        ),
    ],
    kernel: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", show_default=False, help="Only what holds for this kernel: 4.19.90."),
    ] = None,
    kb: OverlayOption = None,
    lang: LanguageOption = Language.ENGLISH,
) -> None:
    """Say what a name means: the code that moves a counter, its names in every tool, what it does not mean.

    \b
    Example:
        vnetkb explain tap.tx_dropped --kernel 5.10
        vnetkb explain "ip -s link TX dropped"
    """
    from vnetkb.kb.explain import Explanation, near_to_text, to_text
    from vnetkb.kb.explain import explain as look_up

    with speaking(lang, kb or ()):
        found = look_up(_knowledge(kb, lang), name, kernel)
        known = isinstance(found, Explanation)
        answer = to_text(found) if isinstance(found, Explanation) else near_to_text(name, found)
    if known:
        _emit(printable(answer))
        return
    _tell(printable(answer))
    raise typer.Exit(EXIT_USAGE)


@app.command(short_help="Open the reference that came with the package.")
def docs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="Open it at this counter, rule, site, fact or tool's name, as for explain.",
        ),
    ] = None,
    lang: LanguageOption = Language.ENGLISH,
    print_only: Annotated[bool, typer.Option("--print", help="Print the address and open nothing.")] = False,
) -> None:
    """Open the reference in the browser, offline, and print its address.

    \b
    Example:
        vnetkb docs
        vnetkb docs tap.tx_dropped --lang zh
    """
    import shlex

    from vnetkb.paths import docs_dir, is_packaged

    built = docs_dir()
    if built is None:
        do = "make docs, then pip install . again" if is_packaged() else "make docs"
        instead = f"vnetkb explain {'NAME' if name is None else shlex.quote(name)}"
        raise UsageProblem(
            f"docs: this vnetkb was installed without its pages. In its source tree run {do} "
            f"(it needs Graphviz). {instead} tells the same as text, now"
        )
    page, anchor = ("index", "") if name is None else _place_of(name)
    file = built / LANGUAGE_FOLDERS[lang] / f"{page}.html"
    uri = file.as_uri() + (f"#{anchor}" if anchor else "")
    _emit(f"{uri}\n")
    if not print_only and not _browse(uri):
        _complain("docs: found no browser; open the address above in one")


LANGUAGE_FOLDERS = {Language.ENGLISH: "en", Language.CHINESE: "zh_CN"}


def _place_of(name: str) -> tuple[str, str]:
    from vnetkb.kb.explain import Explanation, near_to_text
    from vnetkb.kb.explain import explain as look_up
    from vnetkb.kb.load import load_kb

    found = look_up(load_kb(), name)
    if not isinstance(found, Explanation):
        raise UsageProblem(" ".join(near_to_text(name, found).split()))
    place = found.reference
    return ("index", "") if place is None else (place.page, place.anchor)


def _browse(uri: str) -> bool:
    """Show an address in a browser, and tell whether there is one."""
    import webbrowser

    try:
        return webbrowser.open(uri)
    except webbrowser.Error:
        return False


@kb_app.command("lint", short_help="Check the files: schemas, references, units, tests that cannot hold.")
def kb_lint(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", show_default=False, help="A whole knowledge base; without it, ours."),
    ] = None,
    kb: OverlayOption = None,
) -> None:
    """Check the knowledge base's files and what they say of each other.

    \b
    Example, with knowledge of your own in mine/, laid out as kb/:
        vnetkb kb lint
        vnetkb kb lint --kb mine
    """
    from vnetkb.kb.lint import lint_kb

    for place in (folder, *(kb or ())):
        if place is not None and not place.is_dir():
            raise UnusableInput(file=place, found="no folder", expected="a knowledge base laid out as kb/")
    faults = lint_kb(folder, kb or ())
    for fault in faults:
        _emit(printable(f"{fault}\n"))
    _emit(f"{_count(len(faults), 'fault')}\n")
    raise typer.Exit(EXIT_FINDINGS if faults else EXIT_DONE)


@kb_app.command("test", short_help="Run every rule's own cases.")
def kb_test(kb: OverlayOption = None) -> None:
    """Run every rule's own cases through the diagnosis and tell which came out otherwise.

    \b
    Example, with a rule of your own in mine/rules/tap/:
        vnetkb kb test --kb mine
    """
    from vnetkb.kbtest import run

    results = list(run(_knowledge(kb)))
    failed = [result for result in results if not result.passed]
    for result in failed:
        _emit(printable(f"{result.rule}: {result.case}: found {result.got}, expected {result.expected}\n"))
    _emit(f"{len(results) - len(failed)} passed, {len(failed)} failed\n")
    raise typer.Exit(EXIT_FINDINGS if failed else EXIT_DONE)


@kb_app.command("verify", short_help="Hold the cited code against a kernel's source.")
def kb_verify(
    source: Annotated[
        Path,
        typer.Option(
            metavar="TREE|TARBALL",
            show_default=False,
            help="A kernel's source, unpacked or as linux-*.tar.xz.",
        ),
    ],
    kb: OverlayOption = None,
    write: Annotated[
        bool, typer.Option("--write", help="In a source tree: keep the found lines in kb/verified/.")
    ] = False,
) -> None:
    """Look for every cited site in a kernel's source, and for counting code that no site claims.

    \b
    Example:
        vnetkb kb verify --source /usr/src/linux-source-6.1.tar.xz
    """
    from time import monotonic

    from vnetkb.kb import verify
    from vnetkb.kb.verified import load_lines
    from vnetkb.kb.walkthrough import references
    from vnetkb.paths import is_packaged, kb_dir

    if write and is_packaged():
        raise UsageProblem("kb verify --write is for a source tree: an installed vnetkb is not changed")
    started = monotonic()
    knowledge = _knowledge(kb)
    outcome = verify.verify(knowledge, source, references(kb_dir()))
    _emit(printable(verify.to_text(outcome, load_lines(kb_dir()))))
    _emit(f"{monotonic() - started:.1f} s\n")
    if write and not outcome.faults:
        _emit(f"wrote {verify.write_result(kb_dir(), knowledge, outcome)}\n")
    raise typer.Exit(EXIT_FINDINGS if outcome.faults else EXIT_DONE)


def _write(text: str, output: Path | None) -> None:
    """Write a report: to standard output, or to a file that is either the old or the whole new one."""
    if output is None or str(output) == "-":
        _emit(text)
        return
    try:
        if output.exists() and not output.is_file():
            output.write_text(text, encoding="utf-8")
            return
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            part.chmod(0o666 & ~mask)
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageProblem(f"{output}: cannot be written: {error.strerror}") from error


def _emit(text: str) -> None:
    """Write to standard output; a reader who has left early is no error."""
    if sys.stdout is None:
        raise UsageProblem("standard output: cannot be written: it is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up_output()
        if not isinstance(error, BrokenPipeError):
            raise UsageProblem(f"standard output: cannot be written: {error.strerror}") from error


def _give_up_output() -> None:
    """Lead standard output nowhere: Python flushes once more at its end and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    _tell(printable(f"vnetkb: {text}").replace("\n", " ") + "\n")


def _tell(text: str) -> None:
    """Write to standard error, where there is one."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command and return its exit status; `arguments` default to those of the process."""
    if arguments is None:
        # A command ends before cycles could matter, and looking for them takes a sixth of a large analysis.
        gc.disable()
    args = list(sys.argv[1:] if arguments is None else arguments)
    debug = _take_debug(args)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(args, prog_name="vnetkb", standalone_mode=False)
    except typer.TyperException as error:
        return _usage(error)
    except VnetkbError as error:
        if debug:
            raise
        _complain(str(error) + (REPORT_IT if error.exit_status == EXIT_DEFECT else ""))
        return error.exit_status
    except (Exception, SystemExit) as error:
        if _is_of_printing_help(error, args):
            return _help_not_printed(error)
        if debug or isinstance(error, SystemExit):
            raise
        _complain(f"{type(error).__name__}: {error}{REPORT_IT}")
        return EXIT_DEFECT
    return status if isinstance(status, int) else EXIT_DONE


def _is_of_printing_help(error: BaseException, args: "Sequence[str]") -> bool:
    """Whether `error` is that the help, the one text that typer prints itself, could not be written."""
    return isinstance(error, OSError | SystemExit) and not {"-h", "--help"}.isdisjoint(args)


def _help_not_printed(error: BaseException) -> int:
    """Tell it, except of a reader who has left early (typer makes SystemExit of that)."""
    if isinstance(error, OSError):
        _complain(f"standard output: cannot be written: {error.strerror}")
        _give_up_output()
        return EXIT_USAGE
    return EXIT_DONE


def _usage(error: typer.TyperException) -> int:
    """Tell what is wrong with the command line, in one line; help is shown where no command was given."""
    message = str(getattr(error, "format_message", error.__str__)())
    if message.startswith("Usage:"):
        _tell(f"{message}\n")
    else:
        context = getattr(error, "ctx", None)
        command = getattr(context, "command_path", "vnetkb")
        _complain(f"{message.rstrip('.')}; see {command} --help")
    return EXIT_USAGE


NAMED_RULES = 3
REPORT_IT = "; this is a defect of vnetkb: run the same with --debug and report what it prints"


def _take_debug(args: list[str]) -> bool:
    """Take `--debug` out of `args`, wherever it stands, except among the collector's own arguments."""
    end = args.index("collect") if "collect" in args else len(args)
    found = "--debug" in args[:end]
    args[:end] = [arg for arg in args[:end] if arg != "--debug"]
    return found
