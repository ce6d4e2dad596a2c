"""Checks of derivatives, for this engine's operations and for anyone's. Hypothesis is imported only where it is used."""

from autograd_bn.core.namespaces import public
from autograd_bn.testing.gradients import (
    check_accumulation,
    check_aliasing,
    check_checkpoint,
    check_determinism,
    check_dtype_and_shape,
    check_gradients,
    check_graph_invariance,
    check_jit,
    check_jvp,
    check_linearity,
    check_modes_agree,
    check_second_order,
    check_unchanged,
    check_vjp,
    check_vmap,
)
from autograd_bn.testing.registering import OperationSuite, register_op
from autograd_bn.testing.report import Finding, GradientCheckError, Report

__dir__ = public(__name__)
__all__ = [
    "Finding",
    "GradientCheckError",
    "OperationSuite",
    "Report",
    "check_accumulation",
    "check_aliasing",
    "check_checkpoint",
    "check_determinism",
    "check_dtype_and_shape",
    "check_gradients",
    "check_graph_invariance",
    "check_jit",
    "check_jvp",
    "check_linearity",
    "check_modes_agree",
    "check_second_order",
    "check_unchanged",
    "check_vjp",
    "check_vmap",
    "register_op",
]
