"""How the time from a result to DOT grows, beside MyGrad's and torchviz's: python -m tests.benchmarks.drawing [--limit 10]

Two networks: a chain, and one in which each value is used twice, so that the number of paths doubles with every operation.
For each size, in turn, the median time of each library, the ratio to ours, and ours a node. A run of a peer that takes longer than
the limit is broken off; one that is too deep ends in a RecursionError; larger sizes of that network are then left out. Returns 1 if
our time a node is not about the same at 10⁵ nodes as at 10². A peer that is not installed (pip install mygrad torchviz) is left out.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import statistics
import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

import autograd_bn as ab

CHAIN = (100, 1_000, 10_000, 100_000)
SHARED = (4, 8, 12, 16, 20, *CHAIN)
GROWTH = 3.0
START = np.linspace(0.1, 1.0, 10)

Network = Callable[[Any, int], Any]


def chain(h: Any, size: int) -> Any:
    """Each value is used once."""
    for _ in range(size):
        h = h * 0.5
    return h


def shared(h: Any, size: int) -> Any:
    """Each value is used twice."""
    for _ in range(size):
        h = h * h
    return h


def ours(network: Network, size: int) -> Callable[[], str]:
    y = network(ab.tensor(START, requires_grad=True, name="x"), size)
    return lambda: ab.draw(y).source


def mygrad(network: Network, size: int) -> Callable[[], str]:
    library = importlib.import_module("mygrad")
    build = importlib.import_module("mygrad.computational_graph").build_graph
    y = network(library.tensor(START), size)
    return lambda: str(build(y).source)


def torchviz(network: Network, size: int) -> Callable[[], str]:
    torch = importlib.import_module("torch")
    make = importlib.import_module("torchviz").make_dot
    y = network(torch.tensor(START, requires_grad=True), size)
    return lambda: str(make(y).source)


PEERS = {"mygrad": mygrad, "torchviz": torchviz}


class OverLimitError(Exception):
    """The time limit is over."""


def _alarm(number: int, frame: object) -> None:
    raise OverLimitError


def seconds(run: Callable[[], str], limit: float) -> float:
    """The median time of three runs; of one, if it is long."""
    found = []
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        while len(found) < 3 and sum(found) < 1.0:
            start = perf_counter()
            run()
            found.append(perf_counter() - start)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return statistics.median(found)


def compared(network: Network, sizes: tuple[int, ...], peers: list[str], limit: float) -> float:
    """Print a table; gives how much more a node costs at the largest size than at 10²."""
    print(f"\n{network.__name__}: {network.__doc__}")
    print(f"{'operations':>10}{'ours':>12}{'a node':>12}" + "".join(f"{name:>12}{'/ ours':>10}" for name in peers))
    a_node = {}
    out: dict[str, str] = {}
    for size in sizes:
        mine = seconds(ours(network, size), 600.0)
        a_node[size] = mine / size
        row = f"{size:>10,}{mine * 1e3:>9.2f} ms{a_node[size] * 1e6:>9.2f} µs"
        for name in peers:
            theirs = None
            if name not in out:
                try:
                    theirs = seconds(PEERS[name](network, size), limit)
                except OverLimitError:
                    out[name] = f"> {limit:g} s"
                except RecursionError:
                    out[name] = "too deep"
            row += f"{out.get(name, ''):>12}{'':>10}" if theirs is None else f"{theirs * 1e3:>9.2f} ms{theirs / mine:>10.1f}"
        print(row, flush=True)
    return a_node[sizes[-1]] / a_node[CHAIN[0]]


def main() -> int:
    """Print both tables; 1 if ours are not linear."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=10.0, metavar="SECONDS", help="for each run of a peer (default: %(default)g)")
    limit = parser.parse_args().limit
    warnings.simplefilter("ignore")
    peers = []
    for name in PEERS:
        try:
            importlib.import_module(name)
            peers.append(name)
        except ImportError:
            print(f"{name} is not installed and left out")
    signal.signal(signal.SIGALRM, _alarm)
    ab.draw(ab.tensor(1.0, requires_grad=True) * 2.0)
    growth = max(compared(chain, CHAIN, peers, limit), compared(shared, SHARED, peers, limit))
    print(f"\nours at 10⁵ operations costs {growth:.2f} times as much a node as at 10²; limit {GROWTH:g}")
    return int(growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
