"""What completion shows of a namespace: its public names alone."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import pytest

NAMESPACES = ["", ".compiler", ".data", ".drawing", ".lab", ".linalg", ".nn", ".nn.functional", ".nn.init", ".optim", ".primitives", ".testing", ".train"]
OF_PROGRAMS = ["program", "program_oracle", "stateful", "strategies"]


@pytest.mark.parametrize("name", NAMESPACES)
def test_a_namespace_shows_its_public_names_alone(name: str) -> None:
    module = importlib.import_module(f"autograd_bn{name}")
    assert dir(module) == sorted(module.__all__)
    for public in dir(module):
        shown = getattr(module, public)
        if isinstance(shown, types.ModuleType):
            assert shown.__name__ == f"autograd_bn{name}.{public}"
        home = getattr(shown, "__module__", None)
        assert home is None or not home.startswith("typing"), public


def test_every_namespace_is_among_them() -> None:
    top = importlib.import_module("autograd_bn")
    assert {f".{name}" for name in dir(top) if isinstance(getattr(top, name), types.ModuleType)} <= set(NAMESPACES)


@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_the_modules_of_random_programs_need_no_import_of_their_own(name: str) -> None:
    code = f"import autograd_bn as ab; print(ab.testing.{name}.__name__, bool(ab.testing.{name}.__all__))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == f"autograd_bn.testing.{name} True\n"


def test_without_hypothesis_the_kit_can_be_looked_at_and_says_what_to_install() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None
import inspect, autograd_bn as ab
print({name for name, _ in inspect.getmembers(ab.testing)} & {"strategies", "check_gradients"})
try:
    ab.testing.strategies
except AttributeError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "{'check_gradients'}\nautograd_bn.testing.strategies needs Hypothesis: pip install \"autograd_bn[testing]\"\n"
