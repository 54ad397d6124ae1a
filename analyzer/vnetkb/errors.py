# SPDX-License-Identifier: Apache-2.0
"""The errors that reach the user as one line on stderr, each with its exit status.

Every module raises these; only `vnetkb.cli` catches them. Anything else that escapes is a defect of vnetkb
and ends with status 4. Exit statuses are fixed: 0 done, 1 done and findings or faults, 2 usage, 3 not a
usable input, 4 a defect.
"""

from typing import ClassVar

EXIT_DONE = 0
EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_UNUSABLE_INPUT = 3
EXIT_DEFECT = 4


class VnetkbError(Exception):
    """An error made for the user to read: one line that says what to do or what was found.

    Attributes:
        message: One line, no trailing full stop needed, no traceback.
        exit_status: The process exit status that this error ends with.
    """

    default_exit_status: ClassVar[int] = EXIT_DEFECT

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        """Keep `message`; `exit_status` replaces the status of the class."""
        super().__init__(message)
        self.message = message
        self.exit_status = self.default_exit_status if exit_status is None else exit_status


class UsageProblem(VnetkbError):
    """The command line asks for something that cannot be done as asked (exit status 2)."""

    default_exit_status = EXIT_USAGE


class UnusableInput(VnetkbError):
    """A file given by the user cannot be used (exit status 3).

    The message names the file, the member inside it where there is one, what was found and what was expected.
    """

    default_exit_status = EXIT_UNUSABLE_INPUT

    def __init__(
        self,
        message: str | None = None,
        *,
        file: object = None,
        member: str | None = None,
        found: str | None = None,
        expected: str | None = None,
    ) -> None:
        """Build the one line from its parts, or take a ready `message`.

        Args:
            message: The ready line, or the middle part ("not a bundle") where the other parts are given too.
            file: The file that the user named.
            member: The member inside the file.
            found: What is there.
            expected: What should be there.
        """
        place = ": ".join(str(part) for part in (file, member) if part is not None)
        detail = ", ".join(
            f"{label} {text}"
            for label, text in (("found", found), ("expected", expected))
            if text is not None
        )
        super().__init__(": ".join(part for part in (place, message or "", detail) if part))
        self.file = file
        self.member = member
        self.found = found
        self.expected = expected


class KnowledgeFault(VnetkbError):
    """The knowledge base is broken: a defect of vnetkb (4), or of the user's own overlay (3)."""

    def __init__(self, message: str, *, overlay: bool = False) -> None:
        """Keep `message`; `overlay` says that the broken file belongs to the user."""
        super().__init__(message, exit_status=EXIT_UNUSABLE_INPUT if overlay else EXIT_DEFECT)
