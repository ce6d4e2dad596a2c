"""The experiments, one file each."""

from __future__ import annotations

from autograd_bn.lab.catalogue import (
    batch_size,
    coordination,
    figure_1,
    folding,
    gradient,
    growth,
    noise,
    population,
    rates_and_inits,
    recurrent,
    regularisation,
    saturation,
    scale,
    shift,
)
from autograd_bn.lab.experiment import Experiment

ALL: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        *(figure_1, rates_and_inits, saturation, coordination, regularisation, population, shift, noise),
        *(growth, batch_size, recurrent, scale, gradient, folding),
    )
}
"""By name, the most telling first."""
