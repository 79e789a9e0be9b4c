"""What MLIR's operations on numbers do, as Python functions, by the operation's name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

__all__ = ["FLOAT_ORDER", "FUNCTIONS", "ORDER"]


def _divide(left: int, right: int) -> int:
    """Division that rounds towards zero."""
    magnitude = abs(left) // abs(right)
    return magnitude if (left < 0) == (right < 0) else -magnitude


def _remainder(left: int, right: int) -> int:
    return left - right * _divide(left, right)


ORDER: tuple[Callable[[Any, Any], bool], ...] = (
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    operator.lt, operator.le, operator.gt, operator.ge,
)  # fmt: skip
"""By MLIR's number of the comparison; from 6 on both numbers are unsigned."""

_ORDERED: tuple[Callable[[Any, Any], bool], ...] = (
    operator.eq, operator.gt, operator.ge, operator.lt, operator.le, operator.ne,
)  # fmt: skip
FLOAT_ORDER: tuple[Callable[[Any, Any], bool], ...] = (
    lambda _a, _b: False, *_ORDERED, lambda _a, _b: True,
    *_ORDERED, lambda _a, _b: False, lambda _a, _b: True,
)  # fmt: skip
"""By MLIR's number of the comparison; no number here is a NaN."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arith.addi": operator.add,
    "arith.subi": operator.sub,
    "arith.muli": operator.mul,
    "arith.divsi": _divide,
    "arith.divui": operator.floordiv,
    "arith.remsi": _remainder,
    "arith.remui": operator.mod,
    "arith.floordivsi": operator.floordiv,
    "arith.ceildivsi": lambda a, b: -(-a // b),
    "arith.andi": operator.and_,
    "arith.ori": operator.or_,
    "arith.xori": operator.xor,
    "arith.shli": operator.lshift,
    "arith.shrsi": operator.rshift,
    "arith.shrui": operator.rshift,
    "arith.maxsi": max,
    "arith.minsi": min,
    "arith.addf": operator.add,
    "arith.subf": operator.sub,
    "arith.mulf": operator.mul,
    "arith.divf": operator.truediv,
    "arith.remf": math.fmod,
    "arith.maximumf": max,
    "arith.minimumf": min,
    "arith.maxnumf": max,
    "arith.minnumf": min,
    "arith.negf": operator.neg,
    "arith.extf": float,
    "arith.truncf": float,
    "arith.index_cast": int,
    "arith.extsi": lambda value: -1 if value is True else int(value),
    "arith.extui": int,
    "arith.sitofp": float,
    "arith.uitofp": float,
    "arith.fptosi": int,
    "arith.fptoui": int,
    "arith.select": lambda test, yes, no: yes if test else no,
    "math.powf": operator.pow,
    "math.fpowi": operator.pow,
    "math.ipowi": operator.pow,
    "math.absf": abs,
    "math.absi": abs,
    "math.atan2": math.atan2,
    "complex.create": complex,
    "complex.re": lambda value: value.real,
    "complex.im": lambda value: value.imag,
    "complex.add": operator.add,
    "complex.sub": operator.sub,
    "complex.mul": operator.mul,
    "complex.div": operator.truediv,
    "complex.neg": operator.neg,
}
FUNCTIONS |= {
    f"math.{name}": getattr(math, name)
    for name in (
        "acos", "asin", "atan", "ceil", "cos", "cosh", "exp", "floor", "log", "log10", "log2",
        "sin", "sinh", "sqrt", "tan", "tanh",
    )
}  # fmt: skip
