from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.data import Dataset, Loader
from autograd_bn.nn.init import generator
from autograd_bn.optim import SGD, Adam, StepLR, clip_grad_norm
from autograd_bn.train import BestModel, Callback, EarlyStopping, Every, History, Run, accuracy, fit, load_checkpoint, predict
from tests import kill


def blobs(n: int = 60) -> Dataset:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    return Dataset((rng.standard_normal((n, 2)) * 0.1 + np.eye(3, 2)[labels]).astype("float32"), labels)


class Noise(nn.Module):
    def __init__(self) -> None:
        self.rng = generator(3)

    def forward(self, x: Any) -> Any:
        return x + self.rng.standard_normal(x.shape).astype("float32") * 0.1 if self.training else x


class Clipping(Callback):
    def on_gradients(self, run: Run) -> None:
        clip_grad_norm(run.optimizer.params, 0.1)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8, bias=False, rng=0), nn.BatchNorm1d(8), nn.Sigmoid(), Noise(), nn.Linear(8, 3, rng=1))


def run(model: Any = None, **options: Any) -> Any:
    model = network() if model is None else model
    settings: dict[str, Any] = {"steps": 60, "every": 25, "progress": False}
    if "epochs" in options:
        del settings["steps"]
    return model, fit(model, SGD(model.parameters(), lr=0.5), Loader(blobs(), 20, seed=0), blobs(), **{**settings, **options})


def bits(model: nn.Module) -> list[bytes]:
    return [array.tobytes() for array in model.state_dict().values()]


def test_it_learns_and_measures_when_asked() -> None:
    model, history = run()
    assert history.steps == [25, 50, 60]
    assert list(history) == ["loss", "lr", "val_loss", "accuracy"]
    assert history["accuracy"][-1] == accuracy(model, blobs()) > 0.95
    assert history["loss"][0] > history["loss"][-1]
    assert history["lr"] == [0.5] * 3
    assert model[1].num_batches_tracked.item() == 60
    assert model.training


def test_it_is_the_loop_that_a_user_would_write() -> None:
    ours, history = run(steps=7, every=3)
    model = network()
    optimizer, loader = SGD(model.parameters(), lr=0.5), Loader(blobs(), 20, seed=0)
    losses: list[float] = []
    while len(losses) < 7:
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == 7:
                break
    assert bits(model) == bits(ours)
    np.testing.assert_allclose(history["loss"], [np.mean(losses[:3]), np.mean(losses[3:6]), losses[6]])


@pytest.mark.parametrize("callbacks", [[], [Clipping()]], ids=["alone", "with a callback between backward and update"])
def test_a_compiled_step_gives_the_same_numbers(callbacks: list[Callback]) -> None:
    def made() -> nn.Sequential:
        return nn.Sequential(nn.Linear(2, 8, bias=False, rng=0), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 3, rng=1))

    (eager, expected), (compiled, history) = (run(made(), compiled=choice, callbacks=callbacks, metrics=None) for choice in (False, True))
    for one, other in zip(compiled.state_dict().values(), eager.state_dict().values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert bits(compiled) != bits(made())
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
    assert compiled[1].num_batches_tracked.item() == 60


def test_a_compiled_step_whose_gradient_is_not_finite_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 3, rng=0))
    before = bits(model)

    def infinite(outputs: Any, targets: Any) -> Any:
        return nn.functional.cross_entropy(outputs, targets) * np.float32(np.inf)

    with pytest.raises(GradientError, match="NaN or infinite"), np.errstate(invalid="ignore"):
        run(model, loss=infinite, compiled=True)
    assert bits(model) == before


def test_epochs_are_passes_and_are_evaluated_each() -> None:
    assert run(epochs=2, every=None)[1].steps == [3, 6]


def test_losses_metrics_and_rates_are_the_users() -> None:
    model = nn.Linear(2, 1, rng=0)
    x = blobs().images
    data = Dataset(x, (x @ np.array([[2.0], [-1.0]], "float32")).astype("float32"))
    optimizer = SGD(model.parameters(), lr=0.5)
    worst = {"worst": lambda out, target: float(np.abs(out - target).max()), "mean": lambda out, target: float(np.abs(out - target).mean())}
    schedule = StepLR(optimizer, 40, 0.5)
    history = fit(
        model, optimizer, Loader(data, 20, seed=0), data, steps=80, every=40, loss=nn.functional.mse_loss, metrics=worst, schedule=schedule, progress=False
    )
    assert list(history) == ["loss", "lr", "val_loss", "worst", "mean"]
    assert history["worst"][-1] < history["worst"][0]
    assert history["worst"][-1] >= history["mean"][-1]
    assert history["lr"] == [0.25, 0.125]


def test_callbacks_are_called_in_order_with_the_run() -> None:
    calls: list[tuple[str, int]] = []

    class Log(Callback):
        def on_start(self, run: Run) -> None:
            calls.append(("start", run.step))

        def on_gradients(self, run: Run) -> None:
            assert all(p.grad is not None for p in run.model.parameters())
            ab.optim.clip_grad_norm(run.optimizer.params, 0.0)
            calls.append(("gradients", run.step))

        def on_evaluation(self, run: Run) -> None:
            calls.append(("evaluation", run.history.steps[-1]))

        def on_step(self, run: Run) -> None:
            run.optimizer.lr = 0.1 / run.step
            calls.append(("step", run.step))

        def on_end(self, run: Run) -> None:
            calls.append(("end", run.epoch))

    before = network()
    model, history = run(steps=2, every=2, callbacks=[Log()])
    assert calls == [("start", 0), ("gradients", 0), ("step", 1), ("gradients", 1), ("evaluation", 2), ("step", 2), ("end", 0)]
    assert model[0].weight.tolist() == before[0].weight.tolist()  # the clipped gradients were those used
    assert history["lr"] == [0.1]


def test_activations_can_be_recorded_while_training() -> None:
    x = blobs().images

    def percentiles(step: int, model: Any) -> Any:
        with ab.no_grad(), nn.no_stat_update():
            return np.percentile(model[1](model[0](x)).numpy()[:, 0], [15, 50, 85])

    plain, _ = run(steps=30)
    recording = Every(10, percentiles)
    model, _ = run(steps=30, callbacks=[recording])
    assert recording.steps == [0, 10, 20, 30]
    assert np.shape(recording.values) == (4, 3)
    assert bits(model) == bits(plain)


def test_early_stopping_stops_and_the_best_model_is_kept(tmp_path: Path) -> None:
    values = iter([0.1, 0.5, 0.9, 0.8, 0.7, 0.6, 1.0])
    states: list[list[bytes]] = []
    stop, best = EarlyStopping("score", patience=3, mode="max"), BestModel(tmp_path / "best", "score")
    model = network()

    def score(outputs: Any, labels: Any) -> float:
        states.append(bits(model))
        return next(values)

    _, history = run(model, every=2, metrics={"score": score}, callbacks=[stop, best])
    assert history.steps == [2, 4, 6, 8, 10, 12]
    found = load_checkpoint(tmp_path / "best")
    assert (found["step"], found["score"]) == (6, 0.9)
    assert [array.tobytes() for array in found["model"].values()] == states[2]
    with pytest.raises(OperationError, match="no 'recall' in the history, which has loss"):
        run(callbacks=[EarlyStopping("recall")])


def test_a_rate_of_improvement_counts_only_beyond_the_margin() -> None:
    values = iter([1.0, 0.95, 0.9, 0.85])
    _, history = run(every=1, metrics={"error": lambda *_: next(values)}, callbacks=[EarlyStopping("error", patience=2, min_delta=0.2)])
    assert history.steps == [1, 2, 3]


# Resuming


def started(path: Path, **options: Any) -> Any:
    """A run with everything that must be saved."""
    model = network()
    optimizer = Adam(model.parameters(), lr=0.05)
    settings = {"schedule": StepLR(optimizer, 7, 0.7), "every": 4, "checkpoint": path, "resume": True, "progress": False, "checkpoint_every": 1}
    recording = Every(3, lambda step, model: model[0].weight.detach().numpy().copy())
    callbacks = [recording, EarlyStopping("val_loss", patience=50)]
    history = fit(model, optimizer, Loader(blobs(), 16, seed=1), blobs(), **{"callbacks": callbacks, **settings, **options})
    return bits(model), optimizer.state_dict(), dict(history), history.steps, recording.steps, [value.tobytes() for value in recording.values]


@pytest.mark.parametrize("pause", [1, 3, 4, 11, 29])
def test_resuming_in_the_middle_of_an_epoch_is_bit_for_bit(pause: int, tmp_path: Path) -> None:
    whole = started(tmp_path / "whole", steps=30)
    started(tmp_path / "parts", steps=pause)
    if pause % 4:  # the row that the end of the shorter run added is not in the longer one
        state = load_checkpoint(tmp_path / "parts")
        assert state["history"]["steps"][-1] == pause
    found = started(tmp_path / "parts", steps=30)
    assert found[0] == whole[0]
    assert kill.flat(found[1]) == kill.flat(whole[1])
    assert found[4:] == whole[4:]
    if pause % 4 == 0:
        assert found[2:4] == whole[2:4]


class Drawn(nn.Module):
    def __init__(self) -> None:
        self.rng = nn.Generator(3)

    def forward(self, x: Any) -> Any:
        return x + 0.1 * self.rng.normal(x.shape) if self.training else x


@pytest.mark.parametrize("compiled", [False, True])
def test_generators_of_the_package_go_on_where_they_stopped(compiled: bool, tmp_path: Path) -> None:
    def trained(path: Path, steps: int) -> Any:
        given, drawn = nn.Generator(4), []
        model = nn.Sequential(nn.Linear(2, 8, rng=0), Drawn(), nn.Dropout(0.2, rng=1), nn.Linear(8, 3, rng=2))
        draw = Every(1, lambda *_: drawn.append(given.uniform(2).tolist()))
        options: dict[str, Any] = {"checkpoint": path, "resume": True, "progress": False, "callbacks": [draw], "generators": [given], "compiled": compiled}
        fit(model, SGD(model.parameters(), lr=0.1), Loader(blobs(), 16, seed=1), steps=steps, **options)
        return bits(model), drawn

    whole, drawn = trained(tmp_path / "whole", 12)
    trained(tmp_path / "parts", 5)
    found, rest = trained(tmp_path / "parts", 12)
    assert found == whole
    assert len(drawn) == 13 and rest == drawn[6:]
    assert len(load_checkpoint(tmp_path / "parts")["generators"]) == 2  # dropout's is a buffer of the model


def test_a_checkpoint_of_another_run_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    started(path, steps=5)
    other = nn.Sequential(nn.Linear(2, 9, rng=0), nn.Sigmoid(), nn.Linear(9, 3, rng=1))
    before = bits(other)
    assert refusal(other, Adam(other.parameters()), path).count("unexpected: 1.running_") == 2
    for options, match in (({"schedule": None}, "with a schedule"), ({"callbacks": []}, "2 callbacks, this run 0")):
        with pytest.raises(OperationError, match=match):
            started(path, steps=9, **options)
    assert bits(other) == before
    model = network()
    before, optimizer = bits(model), SGD(model.parameters(), momentum=0.9)
    assert "does not fit this SGD" in refusal(model, optimizer, path)
    assert bits(model) == before
    ab.train.save_checkpoint(path, {"a": 1})
    with pytest.raises(OperationError, match="not of a training run"):
        started(path, steps=9)


def refusal(model: Any, optimizer: Any, path: Path) -> str:
    """What resuming that model and optimiser from a file of another is told."""
    settings: dict[str, Any] = {
        "callbacks": [Every(np.int64(3), lambda *_: 0), EarlyStopping()],
        "generators": [generator(0)],
        "schedule": StepLR(optimizer, 2),
    }
    if any(isinstance(part, Noise) for part in model.modules()):
        del settings["generators"]
    with pytest.raises(OperationError) as told:
        fit(model, optimizer, Loader(blobs(), 16), steps=9, checkpoint=path, resume=True, progress=False, **settings)
    return str(told.value)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a program in the foreground: a shell has those in the background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_finishes_the_step_saves_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a"
    whole = started(tmp_path / "whole", steps=30)

    class Press(Callback):
        def on_gradients(self, run: Run) -> None:
            if run.step == 6:
                os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    callbacks = [Every(3, lambda step, model: model[0].weight.detach().numpy().copy()), Press()]
    with pytest.raises(KeyboardInterrupt, match="interrupted after step 7 of 30, saved in .*resume=True"):
        started(path, steps=30, callbacks=callbacks, checkpoint_every=100)
    assert str(path) in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is handler
    assert load_checkpoint(path)["step"] == 7
    found = started(path, steps=30, callbacks=[Every(3, lambda step, model: model[0].weight.detach().numpy().copy()), Callback()])
    assert found[0] == whole[0]
    assert found[2:4] == whole[2:4]
    with pytest.raises(KeyboardInterrupt, match="not saved"):
        run(callbacks=[Press()])


@pytest.mark.usefixtures("interruptible")
def test_a_second_ctrl_c_does_not_wait() -> None:
    class Press(Callback):
        def on_gradients(self, run: Run) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("still here")

    with pytest.raises(KeyboardInterrupt):
        run(callbacks=[Press()])


def test_killed_at_ten_random_moments_it_resumes_to_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    assert kill.main(10) == 0
    assert capsys.readouterr().out.startswith("10 kills")


# What is around it


def test_the_seed_decides_everything() -> None:
    assert bits(run()[0]) == bits(run()[0])


def test_measuring_changes_neither_statistics_nor_modes() -> None:
    model, _ = run()
    before = bits(model)
    model[1].eval()
    accuracy(model, blobs())
    assert bits(model) == before
    assert [m.training for m in model.modules()] == [True, True, False, True, True, True]


def test_predicting_in_chunks_is_predicting_at_once() -> None:
    model, x = run()[0], np.random.default_rng(0).standard_normal((2300, 2)).astype("float32")
    model.eval()
    np.testing.assert_allclose(predict(model, x), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_without_a_terminal_or_tqdm_progress_is_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(progress=True, label="mine")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    measured = [int(line.split()[1].split("/")[0]) for line in lines if "val_loss" in line]
    assert measured == [30, 54, 60], "the first line after each measurement, and none that repeats an old one"
    assert all(line == line.rstrip() for line in lines)
    assert lines[-1].startswith("mine: 60/60 loss")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run(progress=True, label="mine")
    assert len(shown.getvalue().splitlines()) == 10


def test_on_a_terminal_with_tqdm_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    run(progress=True, label="mine")
    assert "60/60" in shown.getvalue()
    assert "accuracy" in shown.getvalue()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"steps": 0}, "positive"),
        ({"every": 0}, "positive"),
        ({"steps": None}, "steps or of epochs"),
        ({"steps": 3, "epochs": 3}, "steps or of epochs"),
        ({"resume": True}, "need checkpoint"),
        ({"checkpoint_every": 3}, "need checkpoint"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OperationError, match=match):
        fit(*(lambda m: (m, SGD(m.parameters())))(network()), Loader(blobs(), 20), **{"steps": 6, **options})  # type: ignore[arg-type]


def test_a_history_is_a_table_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    history = History()
    history.append(10, loss=0.5)
    history.append(200, loss=0.25, val_loss=0.5, accuracy=0.9)
    assert str(history).splitlines() == [" step    loss  val_loss  accuracy", "   10  0.5000       nan       nan", "  200  0.2500    0.5000    0.9000"]
    figure = history.plot(tmp_path / "a.png")
    steady = History([1, 2], {"lr": [0.5, 0.5]}).plot().axes[0]
    assert steady.get_ylim()[0] == 0.0
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["loss", "val_loss"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
