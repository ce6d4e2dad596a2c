"""``autograd-bn doctor``: which versions, layout engines and extras are found."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from typing import TYPE_CHECKING

from autograd_bn.cli.arguments import add_command

if TYPE_CHECKING:
    from autograd_bn.cli.arguments import Commands

MISSING = "(missing)"


def add(commands: Commands) -> None:
    """Declare the command."""
    doctor = add_command(commands, "doctor", "say which versions, layout engines and extras are found")
    doctor.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        version = importlib.metadata.version("autograd_bn")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed, run from source)"
    print(f"autograd_bn {version}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    extras = {
        "": ("numpy", "graphviz", "pygraphviz"),
        "train": ("tqdm", "matplotlib", "safetensors", "threadpoolctl"),
        "jit": ("llvmlite", "scipy"),
        "testing": ("hypothesis",),
    }
    for extra, packages in extras.items():
        found = ", ".join(f"{name} {_version(name)}" for name in packages)
        remedy = f'; pip install "autograd_bn[{extra}]"' if extra and MISSING in found else ""
        print(f"{f'extra {extra}' if extra else 'required'}: {found}{remedy}")
    print("layout engines: " + _engines())
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _engines() -> str:
    try:
        from autograd_bn.drawing import engines
    except ImportError as error:
        return f"unknown, drawing cannot be imported: {error}"
    found = [f"{engine.name} {engine.version} ({engine.path})" for engine in engines()]
    return ", ".join(found) or "none; install pygraphviz (pip install pygraphviz) or Graphviz's dot program"
