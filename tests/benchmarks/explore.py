"""How fast the explorer page of a large graph opens and answers: python -m tests.benchmarks.explore [--nodes 10000]

Two networks of that many nodes, recorded forward and backward: one of modules within modules, and one flat, without any
scope. Writes the page, opens it in headless Chromium (CHROMIUM names another program) and prints, in seconds: writing it,
opening it until it is drawn, the longest of fifty actions (moves, steps, opening scopes, a search), and opening all it can.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import autograd_bn as ab
from tests.drawing import chromium

OPENS, ANSWERS = 3.0, 0.5
"""Limits, in seconds."""


def modular(count: int) -> ab.Tensor:
    """Blocks of layers with batch norm: about fourteen nodes a layer, eight layers a block."""
    rng = np.random.default_rng(0)
    h = x = ab.tensor(rng.standard_normal((8, 4)), requires_grad=True, name="x")
    ones, zeros = np.ones(4), np.zeros(4)
    with ab.record():
        for block in range(max(1, count // (8 * 16))):
            with ab.scope(f"block {block}"):
                for layer in range(8):
                    with ab.scope(f"layer {layer}"):
                        w = ab.tensor(rng.standard_normal((4, 4)) / 2, requires_grad=True, name="W")
                        gamma, beta = ab.tensor(ones, requires_grad=True, name="γ"), ab.tensor(zeros, requires_grad=True, name="β")
                        h = h + ab.tanh(ab.batch_norm(h @ w, gamma, beta))
        y = (h * x).sum()
        y.backward()
    return y


def flat(count: int) -> ab.Tensor:
    """A chain that uses its first value again and again."""
    x = h = ab.tensor(np.linspace(0.1, 1.0, 10), requires_grad=True, name="x")
    with ab.record():
        for _ in range(count // 2):
            h = ab.tanh(h) + x
        y = h.sum()
        y.backward()
    return y


TIMED = """async (act) => {
  const start = performance.now();
  act.split(' ').forEach((key) => document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return (performance.now() - start) / 1000;
}"""
SLIDE = """async (value) => {
  const slider = document.getElementById('time'), start = performance.now();
  slider.value = Math.floor(value * slider.max);
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return (performance.now() - start) / 1000;
}"""
TOGGLE = """async (turn) => {
  const closed = document.querySelectorAll('.scope.closed .head'), start = performance.now();
  closed[turn % closed.length].dispatchEvent(new MouseEvent('click', { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return (performance.now() - start) / 1000;
}"""
SEARCH = """async (text) => {
  const field = document.getElementById('search'), start = performance.now();
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return (performance.now() - start) / 1000;
}"""


def measure(browser: Any, y: ab.Tensor, file: Path) -> dict[str, float]:
    """Seconds by what was done."""
    graph = ab.graph(y)
    start = perf_counter()
    ab.explore(graph, file=file)
    found = {"nodes": len(graph.nodes), "MB": file.stat().st_size / 1e6, "write": perf_counter() - start}
    page = browser.new_page(viewport={"width": 1360, "height": 800})
    start = perf_counter()
    page.goto(file.as_uri())
    page.locator("html[data-ready]").wait_for()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    found["open"] = perf_counter() - start
    found["parts"] = page.locator(".card, .scope[role=button]").count()
    found["step"] = max(page.evaluate(SLIDE, i / 20) for i in range(21))
    found["toggle"] = max(page.evaluate(TOGGLE, i) for i in range(20))
    found["search"] = max(page.evaluate(SEARCH, text) for text in ("t", "ta", "tanh", "x", ""))
    found["zoom"] = max(page.evaluate(TIMED, key) for key in ("+", "-", "0", "ArrowRight"))
    found["open all"] = page.evaluate(TIMED, "e")
    found["all parts"] = page.locator(".card, .scope[role=button]").count()
    found["step then"] = max(page.evaluate(SLIDE, i / 10) for i in range(11))
    page.close()
    return found


def main() -> int:
    """Print the figures; 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=10_000)
    count = parser.parse_args().nodes
    slow = False
    with chromium.started() as browser, tempfile.TemporaryDirectory() as folder:
        for network in (modular, flat):
            found = measure(browser, network(count), Path(folder) / f"{network.__name__}.html")
            print(f"{network.__name__}: " + ", ".join(f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()))
            slow |= found["open"] > OPENS or max(found[key] for key in ("step", "toggle", "search", "zoom", "step then")) > ANSWERS
    print(f"limits: open {OPENS} s, each answer {ANSWERS} s: {'exceeded' if slow else 'kept'}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
