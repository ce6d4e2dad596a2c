"""Random programs with random writes against a brute-force oracle, and against what PyTorch accepts.

``python -m tests.fuzz --count 20000 --seed 0 --torch``. Each program is run on tensors, and replayed on arrays with differences of two step
sizes. It is right; or refused with an error; or wrong; or unreliable, where the two step sizes disagree (a kink nearby).

``python -m tests.fuzz --count 20000 --kit`` makes all checks of ``check_gradients`` on each program instead, and counts the alarms. Where a program cuts
its graph on purpose (``detach``, ``no_grad``) an alarm would be right, so those are left out.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.errors import AutogradError
from autograd_bn.core.tensor import tensor
from autograd_bn.testing import check_gradients
from autograd_bn.testing.program import AUTOGRAD, Program, smaller, source
from autograd_bn.testing.program_moves import random_program
from autograd_bn.testing.program_oracle import Outcome, judge
from tests.torch_namespace import answer


class Report(NamedTuple):
    """How often each outcome came, how PyTorch answered, and why we refused what it accepts."""

    outcomes: Counter[str]
    peer: Counter[str]
    refusals: Counter[str]
    needless: Counter[str]
    wrong: list[tuple[int, str]]

    def __str__(self) -> str:
        total = sum(self.outcomes.values())
        lines = [f"{total} programs: " + ", ".join(f"{self.outcomes[kind]} {kind}" for kind in ("right", "refused", "wrong", "unreliable"))]
        lines += [f"  {count:6} {message}" for message, count in self.refusals.most_common()]
        if self.peer:
            accepted = self.peer["accepted"]
            refused = sum(self.needless.values())
            lines.append("PyTorch: " + ", ".join(f"{self.peer[kind]} {kind}" for kind in ("accepted", "rejected", "undefined", "absent")))
            lines.append(f"  other gradients than the oracle's: {self.peer['differs']}")
            lines.append(f"  we refuse {refused} of the {accepted} that it accepts ({100 * refused / max(1, accepted):.2f} %)")
            lines += [f"  {count:6} {message}" for message, count in self.needless.most_common()]
        return "\n".join(lines)


def kind_of(message: str) -> str:
    """A message without its numbers, so that alike ones are counted together."""
    first = message.splitlines()[0]
    first = re.sub(r"\([\d, ]*\)", "(…)", first)
    return re.sub(r"^(\w+): (x\[…\] = …|[-+*/]=) ", r"\1: … ", first)[:110]


def program_of(seed: int, number: int) -> Program:
    return random_program(np.random.default_rng([seed, number]))


def fuzz(count: int, seed: int, torch: Any = None, progress: bool = False) -> Report:
    """Judge that many programs."""
    report = Report(Counter(), Counter(), Counter(), Counter(), [])
    for number in range(count):
        program = program_of(seed, number)
        outcome = judge(program)
        report.outcomes[outcome.kind] += 1
        if outcome.kind == "refused":
            report.refusals[kind_of(outcome.detail)] += 1
        if outcome.kind == "wrong":
            report.wrong.append((number, outcome.detail))
        if torch is not None:
            _compare(torch, program, outcome, report)
        if progress and sys.stderr.isatty() and number % 50 == 0:
            print(f"\r{number} of {count}, {report.outcomes['wrong']} wrong", end="", file=sys.stderr)
    if progress and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return report


def _compare(torch: Any, program: Program, outcome: Outcome, report: Report) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind, detail = answer(torch, program)
    report.peer[kind] += 1
    if kind == "accepted" and outcome.kind == "refused":
        report.needless[kind_of(outcome.detail)] += 1
    if kind == "accepted" and outcome.kind == "right" and outcome.gradients is not None:
        same = all(np.allclose(x, y, rtol=1e-4, atol=1e-4) for x, y in zip(detail, outcome.gradients, strict=True))
        report.peer["differs"] += not same


class Alarms(NamedTuple):
    """What `check_gradients` said of right programs."""

    outcomes: Counter[str]
    alarms: list[tuple[int, str]]

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in self.outcomes.most_common()) + f"; {len(self.alarms)} alarms"


def alarms(count: int, seed: int, progress: bool = False) -> Alarms:
    """Make all checks on that many programs."""
    report = Alarms(Counter(), [])
    for number in range(count):
        program = program_of(seed, number)
        if any(step.under == "no_grad" or step.name == "detach" for step in program.steps):
            report.outcomes["cut on purpose"] += 1
            continue

        def function(*inputs: Any, program: Program = program) -> Any:
            return program.loss(program.run(AUTOGRAD, list(inputs)))

        try:
            function(*(tensor(x, requires_grad=True) for x in program.inputs))
            found = check_gradients(function, *program.inputs, raises=False, name=f"program {number}")
        except AutogradError:
            report.outcomes["refused"] += 1
            continue
        report.outcomes["passed" if found.ok else "alarmed"] += 1
        if not found.ok:
            report.alarms.append((number, str(found)))
        if progress and sys.stderr.isatty() and number % 50 == 0:
            print(f"\r{number} of {count}, {len(report.alarms)} alarms", end="", file=sys.stderr)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--torch", action="store_true", help="compare with what PyTorch accepts")
    parser.add_argument("--kit", action="store_true", help="make all checks of check_gradients on each, and count the alarms")
    arguments = parser.parse_args()
    if arguments.kit:
        heard = alarms(arguments.count, arguments.seed, progress=True)
        print(heard, *(f"\nprogram {number}: {said}" for number, said in heard.alarms[:5]))
        return bool(heard.alarms)
    torch = None
    if arguments.torch:
        import torch
    report = fuzz(arguments.count, arguments.seed, torch, progress=True)
    print(report)
    for number, detail in report.wrong[:5]:
        least = smaller(program_of(arguments.seed, number), lambda program: judge(program).kind == "wrong")
        print(f"\nprogram {number}: {detail}\n{source(least, judge(least).gradients)}")
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
