"""What a verification found, as one table."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

OK, NOTE, FAILED = "ok", "note", "FAILED"
_WIDTH = 120


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        check: what was looked at.
        result: "ok"; "note", worth knowing but no fault; or "FAILED".
        detail: what was found.
        fix: what to do about it; empty where nothing is to be done.
    """

    check: str
    result: str
    detail: str
    fix: str = ""


def judge(check: str, problems: list[str], fix: str, fine: str) -> Finding:
    """Return one finding for a list of problems, an empty one being fine."""
    if problems:
        return Finding(check, FAILED, "; ".join(problems), fix)
    return Finding(check, OK, fine)


@dataclass(frozen=True)
class Report:
    """All findings on one bundle; printed, it is a table with the fix below each fault."""

    place: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(finding.result != FAILED for finding in self.findings)

    def __str__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [self.place]
        for finding in self.findings:
            lines += _row(f"  {finding.result:<6}  {finding.check:<{width}}  ", finding.detail)
            if finding.fix:
                lines += _row(" " * (width + 12) + "fix: ", finding.fix)
        failed, notes = (sum(finding.result == kind for finding in self.findings) for kind in (FAILED, NOTE))
        verdict = f"{failed} of {len(self.findings)} checks failed" if failed else "all checks passed"
        return "\n".join([*lines, f"{verdict}, {notes} {'note' if notes == 1 else 'notes'}"])


def _row(head: str, text: str) -> list[str]:
    # names in an untrusted bundle must not be able to paint over the table
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return textwrap.wrap(plain, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
