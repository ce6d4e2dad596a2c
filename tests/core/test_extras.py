"""What needs an extra says so where it is missing, and before work that would be lost."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from unittest import mock

import pytest

from autograd_bn import cli, nn
from autograd_bn.train import History, save_checkpoint


def without(package: str, *also: str) -> mock._patch_dict:
    """A package that cannot be imported, whether it was before or not, and modules of ours that are imported anew."""
    kept = {name: module for name, module in sys.modules.items() if name not in also}
    hidden = dict.fromkeys([package, *(name for name in kept if name.startswith(f"{package}."))])
    return mock.patch.dict(sys.modules, kept | hidden, clear=True)


def test_checkpoints_name_theirs(tmp_path: Path) -> None:
    with without("safetensors"), pytest.raises(ImportError, match=r'checkpoints need safetensors: pip install "autograd_bn\[train\]"'):
        save_checkpoint(tmp_path / "x", nn.Linear(2, 2).state_dict())


def test_plots_name_theirs() -> None:
    with without("matplotlib"), pytest.raises(ImportError, match=r'plots need matplotlib: pip install "autograd_bn\[train\]"'):
        History().plot()


@pytest.mark.parametrize("module", ["autograd_bn.testing.strategies", "autograd_bn.testing.stateful"])
def test_strategies_name_theirs(module: str) -> None:
    with without("hypothesis", module), pytest.raises(ImportError, match=rf'{module} needs Hypothesis: pip install "autograd_bn\[testing\]"'):
        importlib.import_module(module)


@pytest.mark.parametrize("command", [["demo", "--steps", "1"], ["lab", "run", "gradient", "--quick", "--seeds", "1"]])
def test_commands_that_end_in_a_figure_ask_for_it_first(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with without("matplotlib"):
        assert cli.main([*command, "--quiet", "--out", str(tmp_path / "new")]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", 'autograd-bn: the figures need matplotlib: pip install "autograd_bn[train]"\n')
    assert not (tmp_path / "new").exists()
