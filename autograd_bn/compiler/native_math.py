"""The elementwise functions of native kernels: exp, log, tanh, sigmoid, erf, expm1 and log1p for LLVM, made to be vectorised.

Each is a scalar function without branch, loop, table or call of a library: LLVM inlines it into a loop and makes SIMD code of it for whatever
CPU it runs on. Special values are right (NaN, infinities, signed zeros, subnormals in and out, gradual underflow), and errors stay within
1 ulp for exp and log, 1.5 for expm1, log1p and erf, 2.5 for tanh and sigmoid, with fused multiply-adds and without (``python -m tests.ulps``).

The reductions of the argument by parts of ln 2 are those of Cody and Waite (Software Manual for the Elementary Functions, 1980); see also
Muller (Elementary Functions, 2016). To carry what a reduction loses, and the logarithm's form in f/(2 + f), are ideas of fdlibm (Ng, 1993).
The polynomials are minimax fits by Remez' exchange, weighted so that the error of the result is what is least;
``python -m tests.minimax`` prints `native_coefficients` anew.

sin and cos are not here: without branches the remainder of a large argument by π/2 costs more than calling NumPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from autograd_bn.compiler.native_coefficients import FITS, Fits
from autograd_bn.compiler.native_scalar import FORMATS, Scalar, bits_of
from autograd_bn.core.errors import OperationError

LN2 = math.log(2)


def _fits(x: Scalar) -> Fits:
    return FITS[str(x.value.type)]


def _reduced(x: Scalar, carried: bool = True, biases: int = 1) -> tuple[Scalar, Scalar]:
    """The whole number n, anchored, and eʳ − 1 with x = n·ln 2 + r, |r| ≤ ½ ln 2; what r lost by rounding is added where it counts, if it is ``carried``."""
    fits = _fits(x)
    anchored = (x * (1 / LN2)).anchored(biases)
    n = anchored.freed(biases)
    high = x - n * fits.ln2_high
    low = n * fits.ln2_low
    r = high - low
    beyond = r * r * r.polynomial(fits.exp)
    return anchored, r + ((high - r) - low + beyond if carried else beyond)


def _halves(n: Scalar) -> tuple[Scalar, Scalar]:
    """Two powers of two whose product is 2ⁿ, which may itself be beyond the exponents that there are; n is anchored with two biases, one for each."""
    bits = n.bits()
    half = bits >> 1
    return half.power_of_two(), (bits - half).power_of_two()


def _exp(x: Scalar) -> Scalar:
    """2ⁿ·eʳ. The second of the two factors rounds where the result is subnormal, and overflows.

    Beside 1, what r lost is little: all numbers of 32 bits stay within 1 ulp without it, but not quite all of 64.
    """
    info = x.info
    n, grown = _reduced(x.at_most((info.maxexp + 0.4) * LN2).at_least((info.minexp - info.nmant - 2) * LN2), info.bits > 32, biases=2)
    first, second = _halves(n)
    return (grown * first + first) * second


def _expm1(x: Scalar) -> Scalar:
    """2ⁿ·(eʳ − 1) + (2ⁿ − 1), the second half of 2ⁿ multiplied last because 2ⁿ may overflow where the result does not."""
    info = x.info
    n, grown = _reduced(x.at_most((info.maxexp + 0.4) * LN2).at_least(-(info.nmant + 2) * LN2), biases=2)
    first, second = _halves(n)
    return ((grown * first + (first - second.inverse_of_power())) * second).signed_as(x)


def _tanh(x: Scalar) -> Scalar:
    """t/(t + 2) with t = e²ˣ − 1, held where it has become 1."""
    n, grown = _reduced(abs(x).at_most((x.info.nmant + 4) / 2 * LN2) * 2)
    scale = n.power_of_two()
    t = grown * scale + (scale - 1)
    return (t / (t + 2)).signed_as(x)


def _sigmoid(x: Scalar) -> Scalar:
    """1/(1 + e⁻ˣ), for x < 0 as eˣ/(1 + eˣ): nothing overflows, and small results lose nothing."""
    e = _exp(-abs(x))
    return x.where("<", 0, e, 1) / (e + 1)


def _split(x: Scalar) -> tuple[Scalar, Scalar]:
    """The numbers m and n with x = 2ⁿ·m, √½ ≤ m < √2, for positive normal numbers; nonsense without harm for others."""
    info = x.info
    root, one = (bits_of(number, info.dtype) for number in (math.sqrt(0.5), 1.0))
    moved = x.bits() + (one - root)
    m = ((moved & ((1 << info.nmant) - 1)) + root).scalar()
    biased = ((moved >> info.nmant) | bits_of(2.0**info.nmant, info.dtype)).scalar()
    return m, biased - (2.0**info.nmant + info.maxexp - 1)


def _log_of(f: Scalar, n: Scalar) -> Scalar:
    """n·ln 2 + log(1 + f), from the least to the greatest: with s = f/(2 + f), log(1 + f) = 2·artanh s = f − f²/2 + s·(f²/2 + s²·P(s²))."""
    fits = _fits(f)
    s = f / (f + 2)
    square, half = s * s, f * f * 0.5
    rest = s * (half + square * square.polynomial(fits.log)) + n * fits.ln2_low
    return (f + (rest - half)) + n * fits.ln2_high


def _ends(x: Scalar, least: float, inside: Scalar) -> Scalar:
    """What a logarithm is at the ends of its domain and outside."""
    inside = x.where("<", math.inf, inside, x)
    return x.where(">", least, inside, x.where("==", least, -math.inf, math.nan))


def _log(x: Scalar) -> Scalar:
    """log(2ⁿ·m); subnormal numbers are made normal first."""
    info = x.info
    least = float(info.smallest_normal)
    m, n = _split(x.where("<", least, x * 2.0**info.nmant, x))
    return _ends(x, 0, _log_of(m - 1, n + x.where("<", least, -info.nmant, 0)))


def _log1p(x: Scalar) -> Scalar:
    """As log, where n is that of 1 + x as rounded and f = 2⁻ⁿ·x + (2⁻ⁿ − 1) has no part in that rounding.

    Large numbers, to which 1 is nothing, are made smaller, so that 2⁻ⁿ is a normal number.
    """
    half = x.info.maxexp // 2
    large = 2.0**half
    near = x.where(">", large, x * (1 / large), x)
    _, n = _split(x.where(">", large, near, near + 1))
    scale = (-n).anchored().power_of_two()
    f = near * scale + x.where(">", large, -1, scale - 1)
    return _ends(x, -1, _log_of(f, n + x.where(">", large, half, 0)).signed_as(x))


def _erf(x: Scalar) -> Scalar:
    """erf(x) = x + x·P(x²) up to 1, from there 1 − exp(−G(x)), held where it has become 1."""
    fits = _fits(x)
    size = abs(x)
    near = size + size * (size * size).polynomial(fits.erf_near)
    n, grown = _reduced(-size.at_most(fits.erf_end).polynomial(fits.erf_far))
    scale = n.power_of_two()
    far = -(grown * scale + scale) + 1
    return size.where("<", 1, near, far).signed_as(x)


FUNCTIONS: dict[str, Callable[[Scalar], Scalar]] = {
    "exp": _exp,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": _erf,
}
"""What can be defined, by the names of the primitives."""


def define(module: ir.Module, name: str, type: ir.FloatType | ir.DoubleType) -> ir.Function:  # noqa: A002 - as llvmlite calls it
    """A function of one number in an LLVM module, added if it is not there yet.

    Parameters
    ----------
    module
        Where it is added: internal, to be inlined wherever it is called.
    name
        Of the primitive, one of ``FUNCTIONS``.
    type
        Of its argument and result: float or double.

    Raises OperationError for another name or type.

    Examples
    --------
    >>> from llvmlite import ir
    >>> from autograd_bn.compiler.native_math import define
    >>> module = ir.Module()
    >>> define(module, "exp", ir.FloatType()).name
    'autograd_bn.exp.float'
    >>> define(module, "exp", ir.FloatType()) is define(module, "exp", ir.FloatType())
    True
    """
    if name not in FUNCTIONS or str(type) not in FORMATS:
        raise OperationError(f"there is no native {name} of {type}; there are {', '.join(FUNCTIONS)} of {' and '.join(FORMATS)}")
    full = f"autograd_bn.{name}.{type}"
    if full in module.globals:
        return module.globals[full]
    function = ir.Function(module, ir.FunctionType(type, [type]), full)
    function.linkage = "internal"
    function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(FUNCTIONS[name](Scalar(builder, function.args[0])).value)
    return function
