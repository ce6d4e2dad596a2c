"""What the checks found: a report that reads well in a terminal, and the exception that carries it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

from autograd_bn.core.errors import AutogradError

WIDTH = 88


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    check
        The name of the check that failed.
    what
        One sentence: what is wrong.
    input
        The input, with its dtype and shape.
    index
        The worst element; None where the check compares no elements, or compared along a direction.
    actual, expected
        Autodiff's number there, and the reference's.
    method
        How the reference was found.
    operation
        The operation of the recorded graph whose own rule is wrong, and the user's line; empty where no single one is.
    cause
        The likely cause, from the numbers and the graph.
    """

    check: str
    what: str
    input: str = ""
    index: tuple[int, ...] | None = None
    actual: float | None = None
    expected: float | None = None
    method: str = ""
    operation: str = ""
    cause: str = ""

    def __str__(self) -> str:
        rows = [("input", self.input), ("worst element", "" if self.index is None else "the only one" if self.index == () else str(list(self.index)))]
        if self.actual is not None and self.expected is not None:
            rows += [("autodiff", number(self.actual)), ("reference", f"{number(self.expected)}   by {self.method}" if self.method else number(self.expected))]
        rows += [("operation", self.operation), ("likely cause", self.cause)]
        lines = _wrapped(f"{self.check}: {self.what}", "  ", "    ")
        for title, text in rows:
            if text:
                lines += _wrapped(text, f"    {title:<15}", " " * 19)
        return "\n".join(lines)


@dataclass
class Report:
    """What `check_gradients` found. Its text is what a person reads; its fields are what a program reads.

    Attributes
    ----------
    name
        The function that was checked.
    findings
        What is wrong; nothing if all is well.
    passed
        The checks that passed, each with a word on how: the reference's method, how many elements.
    skipped
        The checks that could not be made, each with the reason.
    notes
        What is worth knowing though nothing is wrong, such as a kink at which a subgradient was accepted.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def cause(self) -> str:
        """The likely cause of the first finding that has one."""
        return next((f.cause for f in self.findings if f.cause), "")

    def failed(self, check: str) -> bool:
        """Whether a check found something wrong."""
        return any(f.check == check for f in self.findings)

    def raise_if_wrong(self) -> Report:
        """Give this report back, or raise GradientCheckError if anything is wrong."""
        __tracebackhide__ = True  # pytest shows the caller's line
        if self.findings:
            raise GradientCheckError(self)
        return self

    def __bool__(self) -> bool:
        raise TypeError("a Report is neither true nor false: read .ok, .findings, or print it")

    def __str__(self) -> str:
        failed = list(dict.fromkeys(f.check for f in self.findings))
        count = len(failed) + len(self.passed)
        checks = f"{count} check{'' if count == 1 else 's'}"
        verdict = f"{len(failed)} of {checks} failed" if failed else f"{checks} passed"
        lines = [f"gradients of {self.name}: {verdict}"]
        groups: dict[object, list[Finding]] = {}
        for k, finding in enumerate(self.findings):
            groups.setdefault((finding.check, finding.operation, finding.cause) if finding.operation else k, []).append(finding)
        for first, *others in groups.values():
            lines += ["", str(first)]
            if others:
                inputs = "; ".join(f.input for f in others)
                lines += _wrapped(f"for the same reason: {inputs}", f"    {'also wrong':<15}", " " * 19)
        if self.findings:
            lines.append("")
            lines += _wrapped(", ".join(self.passed), "  passed   ", " " * 11) if self.passed else []
        else:
            for check, how in self.passed.items():
                lines += _wrapped(how, f"  {check:<20}", " " * 22)
        for why in dict.fromkeys(self.skipped.values()):
            checks = ", ".join(check for check, reason in self.skipped.items() if reason == why)
            lines += _wrapped(f"{checks}: {why}", "  skipped  ", " " * 11)
        for note in self.notes:
            lines += _wrapped(note, "  note     ", " " * 11)
        return "\n".join(lines)

    __repr__ = __str__


class GradientCheckError(AssertionError, AutogradError):
    """A derivative that is wrong. ``report`` says which, where, by how much and probably why."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return (GradientCheckError, (self.report,))


def number(x: float) -> str:
    """A number with enough digits to compare."""
    return f"{float(x):.8g}"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        lead = rest if lines else first
        lines += textwrap.wrap(paragraph, WIDTH, initial_indent=lead, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False) or [lead.rstrip()]
    return lines or [first.rstrip()]
