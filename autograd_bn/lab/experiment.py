"""The record of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Experiment:
    """A claim, and how it is put to the test.

    Parameters
    ----------
    name, title
        What the command calls it, and what a reader does.
    claim, citation
        The sentence that is tested, and who made it.
    limits
        What the result does not show.
    cells
        From whether it is to be quick, the settings to run, without seeds: each is run once a seed.
    run
        From the settings with a ``"seed"``, what was measured: numbers, strings and lists of them, which JSON can hold. It depends on
        nothing but the settings.
    verdict, figure
        From all cells, what follows, and its picture on an empty figure.
    edition
        Raise it when ``run`` measures something else under the same settings, so that finished cells are measured again.
    """

    name: str
    title: str
    claim: str
    citation: str
    limits: str
    cells: Callable[[bool], Sequence[Settings]]
    run: Callable[[Settings], Measured]
    verdict: Callable[[Results], Verdict]
    figure: Callable[[Results, Figure], None]
    edition: int = 1
