"""Running an experiment: every cell once, kept on disk when it is finished, in one process or several."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.files import written
from autograd_bn.lab.outcome import Outcome
from autograd_bn.lab.results import Cell, Results, Settings
from autograd_bn.train.progress import progress as shown_progress
from autograd_bn.train.threads import one_blas_thread


def run(
    experiment: Experiment,
    *,
    quick: bool = False,
    seeds: int = 3,
    out: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    command: str = "",
    progress: bool = True,
) -> Outcome:
    """Measure every cell of an experiment once a seed, and reach the verdict.

    Parameters
    ----------
    experiment
        One of ``experiments()``, or of your own.
    quick
        Fewer steps, fewer settings: to see it run, not to believe it.
    seeds
        How many, from 0 on.
    out
        A folder. A finished cell is kept in ``out/NAME/cells`` and not run again, so that a run that was interrupted goes on where it
        stopped; ``results.json``, ``results.csv`` and ``summary.json`` (the JSON without curves) come beside them.
    jobs
        How many processes. With more than one, ``experiment.run`` must be a function that a new process can import.
    command
        What the results are said to come from.
    progress
        Whether to show on stderr how far it is.

    Raises OperationError for numbers that are not positive; what a cell raises comes with a note of its settings.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> scale = ab.lab.experiments()["scale"]
    >>> outcome = ab.lab.run(scale, quick=True, seeds=1, progress=False)
    >>> outcome.verdict.kind
    'holds'
    """
    if seeds < 1 or jobs < 1:
        raise OperationError(f"run: seeds and jobs must be at least 1, got {seeds} and {jobs}")
    wanted = [{**settings, "seed": seed} for seed in range(seeds) for settings in experiment.cells(quick)]
    folder = None if out is None else Path(out) / experiment.name
    cells = {i: cell for i, settings in enumerate(wanted) if (cell := _kept(folder, experiment, settings)) is not None}
    left = [i for i in range(len(wanted)) if i not in cells]
    with shown_progress(len(wanted), len(cells), experiment.name, progress) as shown:
        for i, cell in _measured(experiment, [(i, wanted[i]) for i in left], jobs):
            cells[i] = cell
            _keep(folder, experiment, cell)
            shown.set_postfix_str(f"{_told(cell.settings)}: {cell.seconds:.1f} s", refresh=False)
            shown.update()
    results = Results(cells[i] for i in range(len(wanted)))
    outcome = Outcome(experiment.name, results, experiment.verdict(results), quick, seeds, _version(), command)
    if folder is not None:
        written(folder / "results.json", outcome.as_json())
        written(folder / "results.csv", outcome.as_csv())
        written(folder / "summary.json", outcome.as_json(curves=False))
    return outcome


def _version() -> str:
    return str(importlib.import_module("autograd_bn").__version__)


def _told(settings: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


# Finished cells


def _file(folder: Path, experiment: Experiment, settings: Settings) -> Path:
    what = [experiment.name, experiment.edition, _version(), settings]
    return folder / "cells" / f"{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]}.json"


def _kept(folder: Path | None, experiment: Experiment, settings: Settings) -> Cell | None:
    """The cell as it was finished before; None where it was not, or its file cannot be read."""
    if folder is None:
        return None
    try:
        found = json.loads(_file(folder, experiment, settings).read_text(encoding="utf-8"))
        return Cell(settings, found["measured"], found["seconds"]) if found["settings"] == json.loads(json.dumps(settings)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(folder: Path | None, experiment: Experiment, cell: Cell) -> None:
    if folder is not None:
        written(_file(folder, experiment, cell.settings), json.dumps(cell._asdict(), ensure_ascii=False))


# Running


def _measured(experiment: Experiment, wanted: Sequence[tuple[int, Settings]], jobs: int) -> Iterator[tuple[int, Cell]]:
    """Each cell as it is finished, with its number."""
    one = functools.partial(_cell, experiment.run)
    if jobs == 1 or len(wanted) < 2:
        with one_blas_thread():
            yield from map(one, wanted)
        return
    # An exception, Ctrl-C among them, ends the processes at once: what they have not finished is not kept.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(wanted)), _prepare) as pool:
        yield from pool.imap_unordered(one, wanted)


def _prepare() -> None:
    """In a new process: leave Ctrl-C to the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_blas_thread()


def _cell(function: Any, numbered: tuple[int, Settings]) -> tuple[int, Cell]:
    number, settings = numbered
    began = time.perf_counter()
    try:
        measured = plain(function(settings))
    except Exception as error:
        error.add_note(f"in the cell {_told(settings)}")
        raise
    return number, Cell(settings, measured, time.perf_counter() - began)


def plain(x: Any) -> Any:
    """Measurements as JSON has them: arrays as lists, NumPy's numbers as Python's."""
    if isinstance(x, Mapping):
        return {str(name): plain(value) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    if isinstance(x, (np.ndarray, np.generic)):
        return x.tolist()
    return x
