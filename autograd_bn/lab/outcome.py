"""What a run of an experiment leaves: its cells and verdict as JSON, CSV and text."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autograd_bn.core.errors import OperationError
from autograd_bn.lab.results import Cell, Results, Spread
from autograd_bn.lab.verdict import Check, Row, Verdict

FORMAT = "autograd_bn.lab"
WIDTH = 90
"""Of lines, as wide as a page of the documentation has room for."""


class Outcome(NamedTuple):
    """An experiment's name, its cells and verdict, and how they came about. Printed, it is the table and what was borne out (✓) or not (✗)."""

    experiment: str
    results: Results
    verdict: Verdict
    quick: bool
    seeds: int
    version: str
    command: str

    @property
    def seconds(self) -> float:
        """The time of all cells together."""
        return math.fsum(cell.seconds for cell in self.results)

    def __str__(self) -> str:
        verdict = self.verdict
        lines = [*table(verdict), f"{verdict.kind.capitalize()}."]
        for check in verdict.checks:
            lines += textwrap.wrap(f"{check.statement} ({check.numbers})", WIDTH, initial_indent="✓ " if check.holds else "✗ ", subsequent_indent="  ")
        return "\n".join([*lines, *(["", *textwrap.wrap(verdict.note, WIDTH)] if verdict.note else [])])

    def as_json(self, curves: bool = True) -> str:
        """All of it; without ``curves``, only the numbers and words among the measurements."""
        return json.dumps(
            {
                "format": FORMAT,
                "experiment": self.experiment,
                "version": self.version,
                "command": self.command,
                "quick": self.quick,
                "seeds": self.seeds,
                "verdict": {
                    "kind": self.verdict.kind,
                    "paragraph": self.verdict.paragraph,
                    "checks": [check._asdict() for check in self.verdict.checks],
                    "rows": [{**row._asdict(), "ours": row.ours._asdict()} for row in self.verdict.rows],
                },
                "cells": [
                    {
                        "settings": dict(cell.settings),
                        "measured": {name: value for name, value in cell.measured.items() if curves or not isinstance(value, (list, tuple, dict))},
                        "seconds": round(cell.seconds, 3),
                    }
                    for cell in self.results
                ],
            },
            indent=None if curves else 1,
            ensure_ascii=False,
        )

    def as_csv(self) -> str:
        """A row a cell: its settings, and the numbers and words that were measured; curves are in the JSON alone."""
        names = list(dict.fromkeys(name for cell in self.results for name in cell.settings))
        numbers = list(dict.fromkeys(name for cell in self.results for name, value in cell.measured.items() if not isinstance(value, (list, tuple, dict))))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*names, *numbers, "seconds"])
        for cell in self.results:
            writer.writerow([*(cell.settings.get(n, "") for n in names), *(cell.measured.get(n, "") for n in numbers), f"{cell.seconds:.3f}"])
        return text.getvalue()


def table(verdict: Verdict) -> list[str]:
    """The rows of a verdict in columns: ours, the spread over seeds, the published numbers, whether ours lies in their range; no lines where there is none.

    What the names of several rows begin with, up to a colon, is a line above them; long names take several.
    """
    if not verdict.rows:
        return []
    agrees = {True: "yes", False: "no", None: ""}
    lines = [("", "ours", "seeds", "published", "in range")]
    for common, group in itertools.groupby(verdict.rows, lambda row: row.name.rpartition(": ")[0]):
        rows = list(group)
        grouped = common != "" and len(rows) > 1
        lines += [(f"{common}:", "", "", "", "")] if grouped else []
        for row in rows:
            name = f"  {row.name.removeprefix(f'{common}: ')}" if grouped else row.name
            lines.append((name, str(row.ours), str(row.ours.n), row.published, agrees[row.agrees]))
    kept = [i for i in range(1, 5) if any(line[i] for line in lines[1:])]
    widths = [max(len(line[i]) for line in lines if line[1]) for i in range(5)]
    widths[0] = min(widths[0], WIDTH - sum(widths[i] + 2 for i in kept))
    told = []
    for line in lines:
        indent = "    " if line[0].startswith("  ") else "  "
        *above, name = textwrap.wrap(line[0], widths[0] if line[1] else WIDTH, subsequent_indent=indent) or [""]
        told += [*above, "  ".join([name.ljust(widths[0]), *(line[i].ljust(widths[i]) for i in kept)]).rstrip()]
    return [*told, ""]


def read(path: str | os.PathLike[str]) -> Outcome:
    """The outcome in a file of results, or a summary of one, that ``autograd-bn lab run`` wrote.

    Raises OperationError for a file that is none, FileNotFoundError where there is no file.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> gradient = ab.lab.experiments()["gradient"]
    >>> _ = ab.lab.run(gradient, quick=True, seeds=1, out="results", progress=False)
    >>> ab.lab.read("results/gradient/summary.json").verdict.kind
    'holds'
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        found = content["verdict"]
        rows = [Row(**{**row, "ours": Spread(**row["ours"])}) for row in found["rows"]]
        verdict = Verdict(found["kind"], found["paragraph"], [Check(**check) for check in found["checks"]], rows)
        cells = [_cell(cell) for cell in content["cells"]]
        return Outcome(content["experiment"], Results(cells), verdict, content["quick"], content["seeds"], content["version"], content["command"])
    except (ValueError, KeyError, TypeError) as error:
        raise OperationError(f"{path} holds no results of an experiment: {error!r}; autograd-bn lab run writes them") from error


def _cell(content: Mapping[str, Any]) -> Cell:
    return Cell(content["settings"], content["measured"], float(content["seconds"]))
