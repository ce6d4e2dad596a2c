"""kill -9 at random moments of training: python -m tests.kill --count 200

A child trains a network with batch norm, noise, Adam and a schedule, and saves a checkpoint every other step. It is killed at a
random moment and started again, which resumes; when it arrives, the last checkpoint must hold the same bits as that of a
run that was never killed. After each kill the file, if there is one, must be whole.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
STEPS = 200
SLOWEST = 120
ARRIVED = "arrived"


def train(path: Path) -> None:
    """The child: start or resume, and arrive."""
    import autograd_bn as ab
    from autograd_bn import nn

    class Noise(nn.Module):
        """Noise from a generator of the module's own, as dropout has one."""

        def __init__(self) -> None:
            self.rng = nn.init.generator(5)

        def forward(self, x: Any) -> Any:
            return x * (self.rng.random(x.shape) > 0.3).astype("float32") if self.training else x

    images, labels = ab.data.digits()
    data = ab.data.Dataset(images.reshape(len(images), -1), labels)
    rng = nn.init.generator(0)
    model = nn.Sequential(nn.Linear(64, 16, bias=False, rng=rng), nn.BatchNorm1d(16), nn.ReLU(), Noise(), nn.Linear(16, 10, rng=rng))
    optimizer = ab.optim.Adam(model.parameters(), lr=0.01)
    parts = [ab.optim.LinearLR(optimizer, total_iters=20), ab.optim.CosineAnnealingLR(optimizer, STEPS)]
    print("started", flush=True)
    ab.train.fit(
        model,
        optimizer,
        ab.data.Loader(data, 60, seed=3),
        ab.data.Dataset(data.images[:100], data.labels[:100]),
        steps=STEPS,
        every=25,
        schedule=ab.optim.SequentialLR(optimizer, parts, [20]),
        callbacks=[ab.train.Every(50, lambda step, model: model[0].weight.detach().numpy()[:2].copy())],
        checkpoint=path,
        checkpoint_every=2,
        resume=True,
        progress=False,
    )
    print(ARRIVED, flush=True)


def child(path: Path) -> subprocess.Popen[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1")
    process = subprocess.Popen([sys.executable, "-m", "tests.kill", "--train", str(path)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n", "the child did not start"
    return process


def arrived(process: subprocess.Popen[str]) -> bool:
    """Whether a child that has ended came to the end of the training."""
    return ARRIVED in process.communicate(timeout=SLOWEST)[0]


def flat(state: Any) -> Any:
    """A state as something that can be compared bit for bit."""
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, list):
        return [flat(value) for value in state]
    return (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else repr(state)


def main(count: int, seed: int = 0) -> int:
    """Kill so many times; gives the number of runs that ended with other bits or with a file that was refused."""
    from autograd_bn.train import load_checkpoint

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        began = time.monotonic()
        process = child(whole)
        assert arrived(process), "the run that is not killed does not arrive"
        longest = time.monotonic() - began
        expected = flat(load_checkpoint(whole))
        kills = runs = wrong = partial = 0
        resumed: list[int] = []
        while kills < count:
            path = Path(folder, f"run-{runs}")
            process = child(path)
            while kills < count:
                time.sleep(rng.uniform(0, longest / 3))
                process.kill()
                if arrived(process):
                    break
                kills += 1
                partial += len(list(path.parent.glob(f".{path.name}.*")))
                if path.exists():
                    resumed.append(load_checkpoint(path)["step"])
                process = child(path)
            if process.returncode is None:
                assert arrived(process), "a run that is killed no more does not arrive"
            assert not list(path.parent.glob(f".{path.name}.*")), "a half-written file was left"
            runs += 1
            if flat(load_checkpoint(path)) != expected:
                wrong += 1
                print(f"run {runs - 1} ended with other bits")
    print(
        f"{kills} kills in {runs} runs; {len(resumed)} left a whole file, at {len(set(resumed))} different steps of {STEPS}; "
        f"{partial} hit the writing of a file; {wrong} runs ended with other bits"
    )
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how often to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train is not None:
        train(options.train)
    else:
        sys.exit(min(main(options.count, options.seed), 1))
