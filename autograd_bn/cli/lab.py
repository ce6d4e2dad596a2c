"""The commands ``autograd-bn lab list``, ``run`` and ``report``."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from autograd_bn.cli.arguments import add_command, find_matplotlib, positive

if TYPE_CHECKING:
    from autograd_bn.cli.arguments import Commands

FOLDER = Path("autograd-bn-lab")
EVERYTHING = "all"


def add(commands: Commands) -> None:
    """Declare the commands."""
    lab = add_command(commands, "lab", "list experiments on batch norm, run them, write a report")
    actions = lab.add_subparsers(title="actions", required=True, metavar="ACTION", parser_class=type(lab))

    listing = add_command(actions, "list", "list the experiments, and the claim that each tests")
    listing.set_defaults(run=_list)

    running = add_command(actions, "run", "run experiments; finished cells are kept, so a run that was stopped resumes")
    running.add_argument("names", type=_name, nargs="+", metavar="NAME", help=f"an experiment named by 'lab list', or {EVERYTHING}")
    running.add_argument("--quick", action="store_true", help="fewer steps and settings: minutes for everything")
    running.add_argument("--seeds", type=positive, default=3, metavar="N", help="runs of each setting (default: %(default)s)")
    running.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where results go (default: %(default)s)")
    running.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes to use (default: %(default)s)")
    running.add_argument("--quiet", action="store_true", help="show no progress")
    running.set_defaults(run=_run)

    reporting = add_command(actions, "report", "write one page with all figures, tables and verdicts of a folder")
    reporting.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where the results are (default: %(default)s)")
    reporting.add_argument("--file", type=Path, metavar="FILE", help="the page (default: report.html in DIR)")
    reporting.set_defaults(run=_report)


def _name(text: str) -> str:
    from autograd_bn.lab import experiments

    names = [*experiments(), EVERYTHING]
    if text not in names:
        raise argparse.ArgumentTypeError(f"there is no experiment {text!r}; there is {', '.join(names)}")
    return text


def _list(options: argparse.Namespace) -> int:
    from autograd_bn.lab import experiments

    for experiment in experiments().values():
        print(f"{experiment.name}: {experiment.title}")
        for text in (experiment.claim, experiment.citation):
            print(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="  "))
        print()
    return 0


def _run(options: argparse.Namespace) -> int:
    from autograd_bn.lab import experiments, run
    from autograd_bn.lab.figures import drawn
    from autograd_bn.lab.files import written

    find_matplotlib()
    known = experiments()
    for name in known if EVERYTHING in options.names else dict.fromkeys(options.names):
        command = f"autograd-bn lab run {name}{' --quick' if options.quick else ''} --seeds {options.seeds}"
        outcome = run(known[name], quick=options.quick, seeds=options.seeds, out=options.out, jobs=options.jobs, command=command, progress=not options.quiet)
        print(f"{known[name].title}\n\n{outcome}")
        written(options.out / name / "figure.svg", drawn(known[name], outcome.results))
        print(f"written: {options.out / name}\n")
    return 0


def _report(options: argparse.Namespace) -> int:
    from autograd_bn.lab import experiments
    from autograd_bn.lab.files import written
    from autograd_bn.lab.report import collected, report

    file = options.file or options.out / "report.html"
    written(file, report(collected(options.out), experiments()))
    print(f"written: {file}")
    return 0
