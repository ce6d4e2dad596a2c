"""How a verdict is reached: statements that the numbers bear out or not, and numbers beside published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from autograd_bn.core.errors import OperationError
from autograd_bn.lab.results import Spread

Kind: TypeAlias = Literal["holds", "holds in part", "does not hold"]

MARGIN = 0.01
"""How far a mean of ours may lie outside of what two published runs of a network gave: two runs do not show the whole spread."""


class Check(NamedTuple):
    """A statement, whether the numbers bear it out, and those numbers in words; if a decisive one fails, the claim does not hold."""

    statement: str
    holds: bool
    numbers: str
    decisive: bool = False


class Row(NamedTuple):
    """A number of ours, over seeds, and beside it what was published and the range that ours must lie in, if there are any."""

    name: str
    ours: Spread
    published: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether the mean lies in the range; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.ours.mean <= self.high

    @classmethod
    def beside(cls, name: str, ours: Spread, *published: float) -> Row:
        """A number beside the runs that were published, with their range and ``MARGIN`` more on either side as the range to lie in."""
        text = " / ".join(f"{x:.4g}" for x in published)
        return cls(name, ours, text, min(published) - MARGIN, max(published) + MARGIN)


class Verdict(NamedTuple):
    """Whether a claim holds, in a word and in a paragraph, and the table that it was reached from."""

    kind: Kind
    paragraph: str
    checks: Sequence[Check]
    rows: Sequence[Row]

    @property
    def note(self) -> str:
        """What the paragraph says beside the checks."""
        return self.paragraph.removeprefix(_told(self.kind, self.checks)).strip()


def judged(checks: Sequence[Check], rows: Sequence[Row] = (), note: str = "") -> Verdict:
    """The verdict of some checks: the claim holds where all do; it does not hold where none does, or a decisive one fails; else it holds in part.

    ``note`` ends the paragraph. Raises OperationError where there is no check.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> faster = ab.lab.Check("it is faster", True, "2 s against 3 s")
    >>> better = ab.lab.Check("it is better", False, "0.8 against 0.9")
    >>> verdict = ab.lab.judged([faster, better])
    >>> verdict.kind
    'holds in part'
    >>> print(verdict.paragraph)
    Holds in part. Borne out: it is faster (2 s against 3 s). Not borne out: it is better (0.8 against 0.9).
    >>> ab.lab.judged([faster, better._replace(decisive=True)]).kind
    'does not hold'
    """
    if not checks:
        raise OperationError("judged: a verdict without a check could not come out otherwise")
    passed = [check for check in checks if check.holds]
    failed = [check for check in checks if not check.holds]
    kind: Kind = "holds" if not failed else "does not hold" if not passed or any(check.decisive for check in failed) else "holds in part"
    return Verdict(kind, f"{_told(kind, checks)} {note}".rstrip(), list(checks), list(rows))


def _told(kind: Kind, checks: Sequence[Check]) -> str:
    parts = [f"{kind.capitalize()}."]
    for word, holds in (("Borne out", True), ("Not borne out", False)):
        group = [f"{check.statement} ({check.numbers})" for check in checks if check.holds == holds]
        if group:
            parts.append(f"{word}: {'; '.join(group)}.")
    return " ".join(parts)


def agreement(rows: Sequence[Row]) -> Check:
    """The check that every row with a range lies in it."""
    compared = [row for row in rows if row.agrees is not None]
    outside = [f"{row.name}: {row.ours} beside {row.published}" for row in compared if not row.agrees]
    numbers = f"{len(compared) - len(outside)} of {len(compared)}" + (f"; outside: {', '.join(outside)}" if outside else "")
    return Check("the published numbers are met", not outside, numbers)
