"""The laboratory: claims about batch norm as experiments that anyone can run."""

from __future__ import annotations

from autograd_bn.core.namespaces import curated
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.outcome import Outcome, read
from autograd_bn.lab.results import Cell, Results, Spread
from autograd_bn.lab.runner import run
from autograd_bn.lab.verdict import Check, Row, Verdict, judged

curated(__name__)
__all__ = ["Cell", "Check", "Experiment", "Outcome", "Results", "Row", "Spread", "Verdict", "experiments", "judged", "read", "run"]


def experiments() -> dict[str, Experiment]:
    """All experiments by name, the most telling first.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> next(iter(ab.lab.experiments()))
    'figure-1'
    """
    from autograd_bn.lab.catalogue import ALL

    return dict(ALL)
