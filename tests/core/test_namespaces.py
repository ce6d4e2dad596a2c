"""What completion shows of a namespace: its public names alone."""

from __future__ import annotations

import importlib
import types

import pytest

NAMESPACES = ["", ".compiler", ".data", ".drawing", ".lab", ".linalg", ".nn", ".nn.functional", ".nn.init", ".optim", ".primitives", ".testing", ".train"]


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
