"""What other libraries call it: an AttributeError for a name of theirs says what is here instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NoReturn, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

_NUMBERS = "ab.nn.Generator(0).normal(shape) or .uniform(shape), or NumPy's generators"
_NUMPY = "leave it out, as arrays live in NumPy's memory"
_SCIPY = "ab.primitives.unary, which makes an operation of SciPy's function and its derivative"
_BLOCKS = "a module of ab.nn.MultiheadAttention, ab.nn.LayerNorm and ab.nn.Linear"
_NEAREST = "ab.repeat(ab.repeat(x, 2, axis=-2), 2, axis=-1), for the nearest neighbour"
_TRANSPOSED = "the pullback of a convolution, ab.vjp(lambda x: ab.nn.functional.conv2d(x, weight, stride=2), ab.zeros(shape))[1](y)[0]"
_WHOLE = "x * ab.nn.functional.dropout(ab.ones((N, C, 1, 1)), p, rng=rng)"

INSTEAD: dict[str, dict[str, str]] = {
    "autograd_bn": {
        "Function": "ab.custom_vjp",
        "Variable": "ab.tensor(data, requires_grad=True)",
        "addmm": "c + a @ b",
        "adjoint": "ab.conj(x).mT",
        "allclose": "np.allclose, which takes tensors",
        "append": "ab.concat([x, y], axis=0)",
        "array": "ab.tensor",
        "array_equal": "np.array_equal, which takes tensors",
        "array_split": "ab.split(x, places, axis=0), with the places to cut at",
        "as_tensor": "ab.asarray",
        "atleast_3d": "ab.expand_dims",
        "autograd": "ab.grad, ab.custom_vjp and ab.anomaly_mode",
        "bernoulli": _NUMBERS,
        "block": "ab.concat of rows that ab.concat made",
        "bmm": "ab.matmul",
        "broadcast_tensors": "ab.broadcast_arrays",
        "bucketize": "ab.searchsorted(edges, x)",
        "cat": "ab.concat(tensors, axis=0)",
        "cdist": "ab.linalg.vector_norm(x[:, None] - y, axis=-1)",
        "cholesky": "ab.linalg.cholesky",
        "chunk": "ab.split(x, places, axis=0), with the places to cut at",
        "clamp": "ab.clip",
        "clamp_max": "ab.minimum",
        "clamp_min": "ab.maximum",
        "clone": "x + 0 for a copy that is recorded, ab.tensor(x.detach()) for one with no history",
        "compile": "ab.jit",
        "convolve": "ab.nn.functional.conv1d",
        "copy": "x + 0 for a copy that is recorded, ab.tensor(x.detach()) for one with no history",
        "copysign": "ab.abs(x) * np.copysign(1.0, y)",
        "corrcoef": "the products of what ab.mean and ab.std have centred and scaled",
        "correlate": "ab.nn.functional.conv1d",
        "cov": "xc @ xc.T / (n - 1), of xc = x - ab.mean(x, axis=1, keepdims=True)",
        "cuda": _NUMPY,
        "custom_gradient": "ab.custom_vjp",
        "det": "ab.linalg.det",
        "detach": "x.detach()",
        "detect_anomaly": "ab.anomaly_mode",
        "device": _NUMPY,
        "diagflat": "ab.diag(ab.flatten(x))",
        "digamma": _SCIPY,
        "dist": "ab.linalg.vector_norm(x - y)",
        "distributions": "a density in functions of ab, and ab.nn.Generator for samples",
        "div": "ab.divide",
        "divmod": "ab.floor_divide and ab.remainder",
        "dropout": "ab.nn.functional.dropout",
        "ediff1d": "ab.diff(ab.flatten(x))",
        "elementwise": "ab.primitives.elementwise",
        "elementwise_grad": "ab.vmap(ab.grad(f))",
        "elu": "ab.nn.functional.elu",
        "embedding": "ab.nn.functional.embedding",
        "empty": "ab.zeros",
        "empty_like": "ab.zeros_like",
        "eq": "ab.equal",
        "erfc": "1 - ab.erf(x)",
        "erfinv": _SCIPY,
        "fabs": "ab.abs",
        "float_power": "ab.pow",
        "fmax": "ab.where and ab.maximum, or ab.nanmax",
        "fmin": "ab.where and ab.minimum, or ab.nanmin",
        "fmod": "ab.remainder, which has the sign of the divisor",
        "frac": "x - ab.trunc(x)",
        "from_numpy": "ab.asarray",
        "func": "ab.grad, ab.vjp, ab.jvp, ab.vmap and ab.functional_call",
        "gammaln": _SCIPY,
        "gather": "ab.take_along_axis",
        "ge": "ab.greater_equal",
        "gelu": "ab.nn.functional.gelu",
        "geomspace": "ab.exp(ab.linspace(a, b, n)), of logarithms",
        "gradcheck": "ab.testing.check_gradients",
        "gradient": "ab.grad for a derivative, ab.diff for differences",
        "gt": "ab.greater",
        "histogram": "np.histogram of x.detach(): a count has no gradient",
        "identity": "ab.eye",
        "index_select": "ab.take",
        "inference_mode": "ab.no_grad",
        "inverse": "ab.linalg.inv",
        "is_tensor": "isinstance(x, ab.Tensor)",
        "isclose": "np.isclose, which takes tensors",
        "jacfwd": 'ab.jacobian(f, mode="forward")',
        "jacrev": 'ab.jacobian(f, mode="reverse")',
        "kthvalue": "ab.sort(x)[..., k - 1]",
        "lax": "Python's if and for, and ab.where under ab.vmap and ab.jit",
        "le": "ab.less_equal",
        "leaky_relu": "ab.nn.functional.leaky_relu",
        "lerp": "x + (y - x) * weight",
        "lgamma": _SCIPY,
        "load": "ab.train.load_checkpoint",
        "logaddexp2": "ab.logaddexp, in natural logarithms",
        "logdet": "ab.linalg.slogdet, its second part",
        "logit": "ab.log(p) - ab.log1p(-p)",
        "logspace": "10 ** ab.linspace(a, b, n)",
        "lt": "ab.less",
        "make_jvp": "ab.jvp",
        "make_vjp": "ab.vjp",
        "manual_seed": "a seed for each layer, as in ab.nn.Linear(2, 3, rng=0)",
        "masked_fill": "ab.where(mask, value, x)",
        "masked_select": "x[mask]",
        "matrix_power": "x @ x, as often as it takes",
        "matvec": "ab.matmul",
        "mm": "ab.matmul",
        "movedim": "ab.moveaxis",
        "msort": "ab.sort(x, axis=0)",
        "mul": "ab.multiply",
        "multinomial": _NUMBERS,
        "mv": "ab.matmul",
        "nancumprod": "ab.cumulative_prod of ab.where(ab.isnan(x), 1.0, x)",
        "nancumsum": "ab.cumulative_sum(ab.nan_to_num(x))",
        "nanmedian": "ab.median of x[~np.isnan(x.detach())]",
        "nanpercentile": "ab.percentile of x[~np.isnan(x.detach())]",
        "nanquantile": "ab.quantile of x[~np.isnan(x.detach())]",
        "narrow": "a slice, as in x[:, start : start + length]",
        "ne": "ab.not_equal",
        "neg": "ab.negative",
        "norm": "ab.linalg.vector_norm",
        "normal": _NUMBERS,
        "numel": "x.size",
        "numpy": "the functions of ab itself, such as ab.sin",
        "one_hot": "ab.eye(classes)[labels]",
        "permute": "ab.permute_dims",
        "polyval": "Horner's rule, as in (a * x + b) * x + c",
        "primitive": "ab.primitives.unary and its like, or ab.custom_vjp",
        "rand": _NUMBERS,
        "rand_like": _NUMBERS,
        "randint": _NUMBERS,
        "randn": _NUMBERS,
        "randn_like": _NUMBERS,
        "random": _NUMBERS,
        "randperm": _NUMBERS,
        "repeat_interleave": "ab.repeat",
        "rsqrt": "1 / ab.sqrt(x)",
        "save": "ab.train.save_checkpoint",
        "scatter": "x[index] = value",
        "scatter_add": "ab.eye(n)[index].T @ x, which sums the rows of x that have the same index",
        "select": "ab.where, one inside the other",
        "set_default_dtype": "a dtype where a tensor or a layer is made",
        "set_grad_enabled": "ab.no_grad and ab.enable_grad",
        "silu": "ab.nn.functional.silu",
        "sinc": "ab.sin(np.pi * x) / (np.pi * x), by ab.where 1 at 0",
        "slogdet": "ab.linalg.slogdet",
        "special": _SCIPY,
        "std_mean": "ab.std and ab.mean",
        "sub": "ab.subtract",
        "svd": "ab.linalg.svd",
        "swapdims": "ab.swapaxes",
        "swish": "ab.nn.functional.silu",
        "t": "x.T",
        "take_along_dim": "ab.take_along_axis",
        "topk": "ab.argsort and ab.take_along_axis",
        "transpose": "ab.permute_dims, or ab.swapaxes for two axes",
        "trapezoid": "((y[1:] + y[:-1]) * ab.diff(x)).sum() / 2",
        "tree": "ab.tree_map, and ab.register_container for a class",
        "tree_flatten": "ab.tree_map, or ab.register_container for a class",
        "tree_util": "ab.tree_map, and ab.register_container for a class",
        "tri": "ab.tril(ab.ones((n, m)))",
        "true_divide": "ab.divide",
        "unary": "ab.primitives.unary",
        "unbind": "ab.unstack",
        "unflatten": "ab.reshape",
        "unique": "np.unique of x.detach()[...], and ab.take of the places",
        "unsqueeze": "ab.expand_dims(x, axis=axis)",
        "unwrap": "ab.cumulative_sum of ab.diff",
        "utils": "ab.data.Loader and ab.checkpoint",
        "vander": "x[:, None] ** np.arange(n)",
        "var_mean": "ab.var and ab.mean",
        "vecmat": "ab.matmul",
    },
    "Tensor": {
        "at": "x[index] = value",
        "bmm": "x @ y",
        "bool": 'x.astype("bool")',
        "chunk": "ab.split",
        "clamp": "x.clip(min, max)",
        "contiguous": _NUMPY,
        "cpu": _NUMPY,
        "data": "x.detach(); for new values of a parameter ab.assign(x, value)",
        "dim": "x.ndim",
        "div": "x / y",
        "dot": "x @ y",
        "double": 'x.astype("float64")',
        "eq": "x == y",
        "expand": "ab.broadcast_to(x, shape)",
        "expand_as": "ab.broadcast_to(x, y.shape)",
        "float": 'x.astype("float32")',
        "ge": "x >= y",
        "grad_fn": "ab.graph(x)",
        "gt": "x > y",
        "half": 'x.astype("float16")',
        "index_select": "ab.take(x, indices, axis=axis)",
        "int": 'x.astype("int32")',
        "is_cuda": _NUMPY,
        "le": "x <= y",
        "long": 'x.astype("int64")',
        "lt": "x < y",
        "matmul": "x @ y",
        "mm": "x @ y",
        "mul": "x * y",
        "mv": "x @ y",
        "ndimension": "x.ndim",
        "ne": "x != y",
        "neg": "-x",
        "nelement": "x.size",
        "new_ones": "ab.ones(shape, dtype=x.dtype)",
        "new_zeros": "ab.zeros(shape, dtype=x.dtype)",
        "norm": "ab.linalg.vector_norm(x)",
        "permute": "x.permute_dims(axes)",
        "pow": "x**y",
        "relu": "ab.relu(x)",
        "requires_grad_": "ab.tensor(data, requires_grad=True)",
        "reshape_as": "x.reshape(y.shape)",
        "select": "x[index], or ab.take(x, index, axis=axis)",
        "sigmoid": "ab.sigmoid(x)",
        "softmax": "ab.softmax(x, axis=axis)",
        "sub": "x - y",
        "to": _NUMPY + "; a dtype is changed by x.astype",
        "transpose": "x.T, x.swapaxes, or ab.permute_dims",
        "type": "x.dtype, or x.astype(dtype)",
        "type_as": "x.astype(y.dtype)",
        "view": "x.reshape(shape)",
        "view_as": "x.reshape(y.shape)",
        "zero_grad": "x.grad = None",
    },
    "Module": {
        "add_module": "an attribute, as in module.name = part",
        "append": "ab.nn.Sequential(*parts, part), or ab.nn.ModuleList",
        "apply": "a loop over module.modules()",
        "children": "module.named_children()",
        "cpu": _NUMPY,
        "cuda": _NUMPY,
        "double": "dtype='float64' when each layer is made",
        "float": "dtype='float32' when each layer is made, which is what it is unless told",
        "half": "dtype='float16' when each layer is made",
        "register_parameter": "ab.tensor(data, requires_grad=True) as an attribute",
        "requires_grad_": "an optimiser of the other parameters alone",
        "to": _NUMPY + "; a dtype is given when each layer is made",
    },
    "linalg": {
        "cho_solve": "ab.linalg.solve(L.mT, ab.linalg.solve(L, y))",
        "cholesky_solve": "ab.linalg.solve(L.mT, ab.linalg.solve(L, y))",
        "cond": "s[0] / s[-1], of s = ab.linalg.svdvals(x)",
        "eig": "ab.linalg.eigh, of symmetric matrices",
        "eigvals": "ab.linalg.eigvalsh, of symmetric matrices",
        "logdet": "ab.linalg.slogdet(x)[1]",
        "lstsq": "ab.linalg.solve(x.mT @ x, x.mT @ y), where the columns of x are independent",
        "matrix_norm": "ab.linalg.vector_norm(x) for Frobenius's, ab.linalg.svdvals(x) for the others",
        "matrix_power": "x @ x, as often as it takes",
        "multi_dot": "a @ b @ c",
        "norm": "ab.linalg.vector_norm",
        "pinv": "ab.linalg.solve(x.mT @ x, x.mT), where the columns of x are independent",
        "qr": "R = ab.linalg.cholesky(x.mT @ x).mT and Q = ab.linalg.solve(R.mT, x.mT).mT, where the columns of x are independent",
        "solve_triangular": "ab.linalg.solve",
    },
    "nn": {
        "BCELoss": "ab.nn.BCEWithLogitsLoss, of scores before the sigmoid",
        "BatchNorm": "ab.nn.BatchNorm1d, ab.nn.BatchNorm2d and ab.nn.BatchNorm3d",
        "ConvTranspose1d": _TRANSPOSED,
        "ConvTranspose2d": _TRANSPOSED,
        "Dropout1d": _WHOLE,
        "Dropout2d": _WHOLE,
        "Hardtanh": "ab.clip(x, -1.0, 1.0)",
        "KLDivLoss": "(q * (ab.log(q) - log_p)).sum()",
        "Mish": "x * ab.tanh(ab.softplus(x))",
        "PReLU": "ab.where(x > 0, x, a * x), of a parameter a",
        "Parameter": "ab.tensor(data, requires_grad=True), as an attribute of a module",
        "ParameterDict": "a tensor an attribute, by setattr",
        "ParameterList": "a tensor an attribute, by setattr",
        "ReLU6": "ab.clip(x, 0.0, 6.0)",
        "SyncBatchNorm": "ab.nn.BatchNorm2d: there is one process",
        "Transformer": _BLOCKS,
        "TransformerDecoderLayer": _BLOCKS,
        "TransformerEncoder": _BLOCKS,
        "TransformerEncoderLayer": _BLOCKS,
        "Unflatten": "x.reshape, in a forward of your own",
        "Upsample": _NEAREST,
        "utils": "ab.optim.clip_grad_norm and ab.optim.clip_grad_value",
    },
    "nn.functional": {
        "binary_cross_entropy": "ab.nn.functional.binary_cross_entropy_with_logits, of scores before the sigmoid",
        "conv_transpose1d": _TRANSPOSED,
        "conv_transpose2d": _TRANSPOSED,
        "cosine_similarity": "ab.vecdot(x, y) over the product of their ab.linalg.vector_norm",
        "dropout2d": _WHOLE,
        "hardtanh": "ab.clip(x, -1.0, 1.0)",
        "interpolate": _NEAREST,
        "kl_div": "(q * (ab.log(q) - log_p)).sum()",
        "logsigmoid": "-ab.softplus(-x)",
        "mish": "x * ab.tanh(ab.softplus(x))",
        "normalize": "x / ab.linalg.vector_norm(x, axis=axis, keepdims=True)",
        "one_hot": "ab.eye(classes)[labels]",
        "pad": "ab.pad",
        "relu6": "ab.clip(x, 0.0, 6.0)",
        "softsign": "x / (1 + ab.abs(x))",
    },
    "nn.init": {
        "kaiming_normal_": "ab.assign(layer.weight, ab.nn.init.kaiming_normal(layer.weight.shape, rng))",
        "kaiming_uniform_": "ab.assign(layer.weight, ab.nn.init.kaiming_uniform(layer.weight.shape, rng))",
        "normal_": "ab.assign(layer.weight, ab.nn.init.normal(layer.weight.shape, rng))",
        "orthogonal_": "ab.assign(layer.weight, ab.nn.init.orthogonal(layer.weight.shape, rng))",
        "uniform_": "ab.assign(layer.weight, ab.nn.init.uniform(layer.weight.shape, rng))",
        "xavier_normal_": "ab.assign(layer.weight, ab.nn.init.xavier_normal(layer.weight.shape, rng))",
        "xavier_uniform_": "ab.assign(layer.weight, ab.nn.init.xavier_uniform(layer.weight.shape, rng))",
        "constant_": "ab.assign(layer.bias, ab.full_like(layer.bias, value))",
        "ones_": "ab.assign(layer.bias, ab.ones_like(layer.bias))",
        "zeros_": "ab.assign(layer.bias, ab.zeros_like(layer.bias))",
    },
    "optim": {
        "Adagrad": "ab.optim.RMSprop, or ab.optim.Adam",
        "CosineAnnealingWarmRestarts": "ab.optim.SequentialLR of several ab.optim.CosineAnnealingLR",
        "ExponentialLR": "ab.optim.StepLR(optimizer, 1, gamma)",
        "LBFGS": "SciPy's minimize with the value and gradient of ab.value_and_grad, as arrays",
        "MultiStepLR": "ab.optim.LambdaLR(optimizer, lambda step: gamma ** sum(step >= m for m in milestones))",
        "OneCycleLR": "ab.optim.SequentialLR of ab.optim.LinearLR and ab.optim.CosineAnnealingLR",
        "ReduceLROnPlateau": "optimizer.lr = 0.1 * optimizer.lr, in on_evaluation of an ab.train.Callback",
        "lr_scheduler": "ab.optim.StepLR, ab.optim.CosineAnnealingLR, ab.optim.LinearLR, ab.optim.LambdaLR and ab.optim.SequentialLR",
    },
    "data": {
        "DataLoader": "ab.data.Loader",
        "TensorDataset": "a tuple of arrays, or ab.data.Dataset",
        "random_split": "ab.data.split",
    },
}
FUNCTIONS: set[str] = set()
"""The names of the main namespace, which puts them here."""
IN_PLACE = "x[...] = value or x += value, and for a leaf that requires a gradient ab.assign(x, value)"

UNNEEDED = {
    "device": _NUMPY,
    "inplace": "leave it out, as nothing is written in place",
    "set_to_none": "leave it out, as gradients become None",
    "static_argnums": "leave it out, as Python's numbers and strings are static",
    "strict": "a whole state, {**module.state_dict(), **state}",
}
"""Keywords of other libraries that have no counterpart, and what takes their place."""

KEYWORDS: dict[str, tuple[str, ...]] = {
    "in_dims": ("in_axes",),
    "out_dims": ("out_axes",),
    "diagonal": ("k",),
    "dim": ("axis", "axes"),
    "dims": ("axis", "axes"),
    "keepdim": ("keepdims",),
    "ddof": ("correction",),
    "unbiased": ("correction",),
    "start_dim": ("start_axis",),
    "weight": ("gamma",),
    "bias": ("beta",),
}
"""Keywords of other libraries, and what they may be called here."""


def unexpected(function: Callable[..., Any], given: Mapping[str, Any]) -> TypeError:
    """The error for a call with keywords that the function has not."""
    message, known = f"{function.__qualname__}() got an unexpected keyword argument", inspect.signature(function).parameters
    word = next(word for word in given if word not in known)
    here = next((name for name in KEYWORDS.get(word, ()) if name in known), None)
    value = int(given[word]) if word == "unbiased" else given[word]
    told = f"{here}={value!r}" if here and isinstance(value, (int, float, tuple, list)) else here or UNNEEDED.get(word)
    return TypeError(f"{message} {word!r}" + ("" if told is None else f"; instead: {told}"))


def strange(function: Callable[..., Any], given: Mapping[str, Any]) -> bool:
    """Whether there are keywords among them that the function has not."""
    known = inspect.signature(function).parameters
    return not (given.keys() <= known.keys() or any(p.kind is p.VAR_KEYWORD for p in known.values()))


def keywords(function: Callable[P, R]) -> Callable[P, R]:
    """For a function that takes ``**elsewhere`` to say what is called otherwise here: the signature that is shown leaves what never is given out."""
    shown = inspect.signature(function)
    function.__signature__ = shown.replace(parameters=[p for p in shown.parameters.values() if p.annotation != "Never"])  # type: ignore[attr-defined]
    return function


def missing(owner: str, subject: str, name: str, of: object) -> AttributeError:
    """The error for a name that ``of`` has not: what is here instead, or in NumPy. Where no other library's is meant, Python suggests a similar one."""
    instead = INSTEAD.get(owner, {}).get(name)
    if instead is None and owner == "Tensor" and name.endswith("_") and not name.startswith("_"):
        instead = IN_PLACE
    if instead is None and owner == "Tensor":
        if name in ("shape", "dtype"):
            instead = "ab.tensor(data), which makes a tensor of anything; Tensor(…) is for arrays alone"
        elif name in FUNCTIONS:
            instead = f"ab.{name}"
        elif name in INSTEAD["autograd_bn"]:
            instead = INSTEAD["autograd_bn"][name]
        elif not name.startswith("_") and hasattr(np.ndarray, name):
            instead = f"x.detach().numpy().{name}"
    if instead is None and isinstance(of, ModuleType) and name.endswith("_") and hasattr(of, name[:-1]):
        instead = f"ab.{owner}.{name[:-1]}".replace("ab.autograd_bn", "ab")
    if instead is None and owner == "autograd_bn" and not name.startswith("_") and hasattr(np, name):
        function = callable(getattr(np, name)) and not isinstance(getattr(np, name), type)
        instead = f"np.{name}" + (" of x.detach(), through which no gradient flows" if function else "")
    message = f"{subject} has no attribute {name!r}"
    return AttributeError(message, name=name, obj=of) if instead is None else AttributeError(f"{message}; instead: {instead}")


class Elsewhere:
    """An attribute that a tensor has in other libraries: to read it is the AttributeError of `missing`.

    Each stands for one name, because a class with ``__getattr__`` has all of its attributes read in four times the time.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, x: object, kind: type) -> NoReturn:
        raise missing("Tensor", "'Tensor' object" if x is not None else "type object 'Tensor'", self.name, kind if x is None else x)


def tell(kind: type) -> None:
    """Make what tensors have elsewhere, and functions that are no methods, attributes of a class of tensors that say what is here."""
    public = {*INSTEAD["Tensor"], *INSTEAD["autograd_bn"], *FUNCTIONS, *(name for name in dir(np.ndarray) if not name.startswith("_"))}
    in_place = {f"{name}_" for name in (*public, *dir(kind), "add", "sub", "mul", "div", "zero", "clamp", "uniform", "normal") if not name.endswith("_")}
    for name in public | in_place:
        if not hasattr(kind, name):
            setattr(kind, name, Elsewhere(name))
