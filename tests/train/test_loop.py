from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest

from autograd_bn import nn
from autograd_bn.core.errors import OperationError
from autograd_bn.data import Dataset
from autograd_bn.nn.init import generator
from autograd_bn.optim import SGD
from autograd_bn.train import accuracy, fit


def blobs(n: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return Dataset((rng.standard_normal((n, 2)) * 0.1 + np.eye(3, 2)[labels]).astype("float32"), labels)


def run(**options: Any) -> Any:
    network = nn.Sequential(nn.Linear(2, 8, bias=False, rng=0), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 3, rng=1))
    settings: dict[str, Any] = {"steps": 60, "batch_size": 20, "rng": generator(0), "every": 25, "progress": False}
    return network, fit(network, SGD(network.parameters(), lr=0.5), blobs(), blobs(), **{**settings, **options})


def test_it_learns_and_measures_when_asked() -> None:
    network, history = run()
    assert history.steps == [25, 50, 60]
    assert history.accuracies[-1] == accuracy(network, blobs()) > 0.95
    assert history.losses[-1] < 0.5
    assert network[1].num_batches_tracked.item() == 60
    assert network.training


def test_the_seed_decides_everything() -> None:
    a, b = run()[0].state_dict(), run()[0].state_dict()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_measuring_changes_neither_statistics_nor_modes() -> None:
    network, _ = run()
    before = network.state_dict()
    network[1].eval()
    accuracy(network, blobs())
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert [m.training for m in network.modules()] == [True, True, False, True, True]


def test_without_a_terminal_or_tqdm_progress_is_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(progress=True, label="mine")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("mine: 60/60 loss")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run(progress=True, label="mine")
    assert len(shown.getvalue().splitlines()) == 10


def test_bad_settings_are_refused() -> None:
    with pytest.raises(OperationError, match="61 is larger than the training part of 60"):
        run(batch_size=61)
    with pytest.raises(OperationError, match="positive"):
        run(steps=0)
