"""What other libraries call it: an AttributeError for a name of theirs says what is here instead."""

from __future__ import annotations

_NUMBERS = "ab.nn.Generator(0).normal(shape) or .uniform(shape), or NumPy's generators"
_NUMPY = "leave it out, as arrays live in NumPy's memory"

INSTEAD: dict[str, dict[str, str]] = {
    "autograd_bn": {
        "Function": "ab.custom_vjp",
        "Variable": "ab.tensor(data, requires_grad=True)",
        "array": "ab.tensor",
        "as_tensor": "ab.asarray",
        "autograd": "ab.grad, ab.custom_vjp and ab.anomaly_mode",
        "bmm": "ab.matmul",
        "cat": "ab.concat(tensors, axis=0)",
        "clamp": "ab.clip",
        "compile": "ab.jit",
        "cuda": _NUMPY,
        "device": _NUMPY,
        "dot": "ab.matmul, or ab.vecdot",
        "elementwise_grad": "ab.vmap(ab.grad(f))",
        "empty": "ab.zeros",
        "from_numpy": "ab.asarray",
        "func": "ab.grad, ab.vjp, ab.jvp, ab.vmap and ab.functional_call",
        "gather": "ab.take_along_axis",
        "gradcheck": "ab.testing.check_gradients",
        "inference_mode": "ab.no_grad",
        "jacfwd": 'ab.jacobian(f, mode="forward")',
        "jacrev": 'ab.jacobian(f, mode="reverse")',
        "load": "ab.train.load_checkpoint",
        "make_jvp": "ab.jvp",
        "make_vjp": "ab.vjp",
        "manual_seed": "a seed for each layer, as in ab.nn.Linear(2, 3, rng=0)",
        "mm": "ab.matmul",
        "norm": "ab.linalg.vector_norm",
        "permute": "ab.permute_dims",
        "rand": _NUMBERS,
        "randn": _NUMBERS,
        "random": _NUMBERS,
        "save": "ab.train.save_checkpoint",
        "set_grad_enabled": "ab.no_grad and ab.enable_grad",
        "transpose": "ab.permute_dims, or ab.swapaxes for two axes",
        "unsqueeze": "ab.expand_dims(x, axis=axis)",
        "utils": "ab.data.Loader and ab.checkpoint",
    },
    "Tensor": {
        "at": "x[index] = value",
        "clone": "x + 0 for a copy that is recorded, ab.tensor(x.detach()) for one with no history",
        "contiguous": _NUMPY,
        "copy": "x + 0 for a copy that is recorded, ab.tensor(x.detach()) for one with no history",
        "cpu": _NUMPY,
        "cuda": _NUMPY,
        "data": "x.detach(); for new values of a parameter ab.assign(x, value)",
        "device": _NUMPY,
        "dim": "x.ndim",
        "dot": "x @ y",
        "double": 'x.astype("float64")',
        "expand": "ab.broadcast_to(x, shape)",
        "float": 'x.astype("float32")',
        "gather": "ab.take_along_axis",
        "grad_fn": "ab.graph(x)",
        "long": 'x.astype("int64")',
        "matmul": "x @ y",
        "mm": "x @ y",
        "norm": "ab.linalg.vector_norm(x)",
        "numel": "x.size",
        "permute": "x.permute_dims(axes)",
        "pow": "x**y",
        "relu": "ab.relu(x)",
        "sigmoid": "ab.sigmoid(x)",
        "softmax": "ab.softmax(x, axis=axis)",
        "t": "x.T",
        "to": _NUMPY + "; a dtype is changed by x.astype",
        "transpose": "x.T, x.swapaxes, or ab.permute_dims",
        "type": "x.dtype, or x.astype(dtype)",
        "unsqueeze": "ab.expand_dims(x, axis=axis)",
        "view": "x.reshape(shape)",
        "zero_grad": "x.grad = None",
    },
    "nn": {
        "BCELoss": "ab.nn.BCEWithLogitsLoss, of scores before the sigmoid",
        "Parameter": "ab.tensor(data, requires_grad=True), as an attribute of a module",
        "utils": "ab.optim.clip_grad_norm and ab.optim.clip_grad_value",
    },
    "nn.functional": {
        "binary_cross_entropy": "ab.nn.functional.binary_cross_entropy_with_logits, of scores before the sigmoid",
        "one_hot": "ab.eye(classes)[labels]",
    },
    "optim": {
        "lr_scheduler": "ab.optim.StepLR, ab.optim.CosineAnnealingLR, ab.optim.LinearLR and ab.optim.SequentialLR",
    },
    "data": {
        "DataLoader": "ab.data.Loader",
        "TensorDataset": "a tuple of arrays, or ab.data.Dataset",
        "random_split": "ab.data.split",
    },
}
IN_PLACE = "x[...] = value or x += value, and for a leaf that requires a gradient ab.assign(x, value)"


def missing(owner: str, subject: str, name: str, of: object) -> AttributeError:
    """The error for a name that ``of`` has not. Where no other library's is meant, Python itself suggests a similar one."""
    instead = INSTEAD[owner].get(name)
    if instead is None and owner == "Tensor" and name.endswith("_") and not name.startswith("_"):
        instead = IN_PLACE
    message = f"{subject} has no attribute {name!r}"
    return AttributeError(message, name=name, obj=of) if instead is None else AttributeError(f"{message}; instead: {instead}")
