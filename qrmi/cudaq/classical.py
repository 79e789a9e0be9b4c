"""Interpret the classical part of a kernel that CUDA-Q has specialised to its arguments.

All arguments are constants then, so that every number, index, branch and loop can be worked out;
only measured values are unknown. Memory (``cc.alloca`` and its kin) is modelled in cells of one
scalar each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from qrmi.cudaq.arithmetic import FLOAT_ORDER, FUNCTIONS, ORDER
from qrmi.cudaq.values import (
    ARRAY,
    UNKNOWN,
    Pointer,
    Span,
    cell_count,
    flat,
    known,
    plain,
    plain_type,
    pointee,
)
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["Interpreter"]

_MAX_STEPS = 20_000_000
_DYNAMIC = -(2**31)


class Interpreter:
    """Runs one function of specialised Quake, block after block.

    Subclasses add handlers for the operations of the ``quake`` dialect to `handlers`.
    """

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.handlers: dict[str, Callable[[Any], None]] = {
            "arith.constant": self._constant,
            "arith.cmpi": self._compare_integers,
            "arith.cmpf": self._compare_floats,
            "arith.trunci": self._truncate,
            "complex.constant": self._complex_constant,
            "cc.address_of": self._unknown,
            "cc.alloca": self._alloca,
            "cc.cast": self._cast,
            "cc.compute_ptr": self._compute_pointer,
            "cc.const_array": self._constant_array,
            "cc.extract_value": self._extract_value,
            "cc.insert_value": self._insert_value,
            "cc.load": self._load,
            "cc.poison": self._unknown,
            "cc.reify_span": self._same,
            "cc.sequence_data": self._data,
            "cc.sequence_init": self._span,
            "cc.sequence_size": self._length,
            "cc.store": self._store,
            "cc.string_literal": self._string,
            "cc.undef": self._unknown,
        }

    def run(self, function: Any) -> None:
        """Interpret ``function`` (a ``func.func``) from its entry to its return.

        Raises:
            UnsupportedFunctionError: it branches on a measurement, or uses what no circuit holds.
        """
        block = function.regions[0].blocks[0]
        steps = 0
        while block is not None:
            following = None
            for operation in block.operations:
                steps += 1
                following = self._step(operation.operation)
            if steps > _MAX_STEPS:
                raise UnsupportedFunctionError("the kernel does not end, or is too long")
            block = following

    def operands(self, operation: Any) -> list[Any]:
        """The values of the operands, in order; `UNKNOWN` for one never computed."""
        return [self.values.get(operand, UNKNOWN) for operand in operation.operands]

    def _step(self, operation: Any) -> Any:
        """Do one operation; return the block that comes next after a jump, else ``None``."""
        name = operation.name
        handler = self.handlers.get(name)
        if handler is not None:
            handler(operation)
        elif name in FUNCTIONS:
            self._arithmetic(operation, FUNCTIONS[name])
        elif name in ("cf.br", "cf.cond_br", "cf.switch"):
            return self._jump(operation)
        elif name not in ("func.return", "cc.return"):
            raise UnsupportedFunctionError(
                f"the kernel uses `{name}`, which cannot become part of a circuit"
            )
        return None

    def _set(self, operation: Any, value: Any) -> None:
        self.values[operation.results[0]] = value

    # --- numbers ------------------------------------------------------------------------------

    def _constant(self, operation: Any) -> None:
        self._set(operation, plain(operation.attributes["value"]))

    def _complex_constant(self, operation: Any) -> None:
        self._set(operation, complex(*plain(operation.attributes["value"])))

    def _arithmetic(self, operation: Any, function: Callable[..., Any]) -> None:
        operands = self.operands(operation)
        known = not any(value is UNKNOWN for value in operands)
        self._set(operation, function(*operands) if known else UNKNOWN)

    def _compare_integers(self, operation: Any) -> None:
        predicate = operation.attributes["predicate"].value
        unsigned = predicate >= 6

        def compare(left: int, right: int) -> bool:
            if unsigned:
                left, right = left & (2**64 - 1), right & (2**64 - 1)
            return bool(ORDER[predicate](left, right))

        self._arithmetic(operation, compare)

    def _compare_floats(self, operation: Any) -> None:
        predicate = operation.attributes["predicate"].value
        self._arithmetic(operation, FLOAT_ORDER[predicate])

    def _truncate(self, operation: Any) -> None:
        width = operation.results[0].type.width
        mask = (1 << width) - 1

        def truncate(value: int) -> int:
            low: int = value & mask
            return low - (mask + 1) if width > 1 and low >> (width - 1) else low

        self._arithmetic(operation, truncate)

    def _cast(self, operation: Any) -> None:
        (value,) = self.operands(operation)
        kind = str(operation.results[0].type)
        if kind in ("f64", "f32") and isinstance(value, int):
            value = float(value)
        elif re.fullmatch(r"i\d+", kind) and isinstance(value, float):
            value = int(value)
        self._set(operation, value)

    # --- memory -------------------------------------------------------------------------------

    def _alloca(self, operation: Any) -> None:
        operands = self.operands(operation)
        count = operands[0] if operands else 1
        size = cell_count(plain_type(operation.attributes["elementType"]))
        self._set(operation, Pointer([UNKNOWN] * (known(count) * size)))

    def _compute_pointer(self, operation: Any) -> None:
        base, *dynamic = self.operands(operation)
        kind = pointee(str(operation.operands[0].type))
        if base is UNKNOWN:
            self._set(operation, UNKNOWN)
            return
        offset = base.offset
        for raw in operation.attributes["rawConstantIndices"]:
            index = known(dynamic.pop(0) if raw == _DYNAMIC else raw)
            match = ARRAY.fullmatch(kind)
            kind = match[1] if match else kind.removeprefix("!cc.array<").removesuffix(" x ?>")
            offset += index * cell_count(kind)
        self._set(operation, Pointer(base.cells, offset))

    def _store(self, operation: Any) -> None:
        value, pointer = self.operands(operation)
        if pointer is UNKNOWN:
            return
        cells = flat(value) if isinstance(value, list) else [value]
        end = pointer.offset + len(cells)
        if pointer.offset < 0 or end > len(pointer.cells):
            raise InvalidInputError("the kernel writes past the end of a list")
        pointer.cells[pointer.offset : end] = cells

    def _load(self, operation: Any) -> None:
        (pointer,) = self.operands(operation)
        known = isinstance(pointer, Pointer) and 0 <= pointer.offset < len(pointer.cells)
        self._set(operation, pointer.cells[pointer.offset] if known else UNKNOWN)

    def _constant_array(self, operation: Any) -> None:
        value = plain(operation.attributes["constantValues"])
        if "complex<" in str(operation.results[0].type):
            value = [complex(*pair) for pair in value]
        self._set(operation, value)

    def _span(self, operation: Any) -> None:
        start, *length = self.operands(operation)
        if isinstance(start, Pointer) and length and length[0] is not UNKNOWN:
            self._set(operation, Span(start, length[0]))
        else:
            self._set(operation, start)

    def _data(self, operation: Any) -> None:
        (value,) = self.operands(operation)
        value = value.start if isinstance(value, Span) else value
        self._set(operation, Pointer(flat(value)) if isinstance(value, list) else value)

    def _length(self, operation: Any) -> None:
        (value,) = self.operands(operation)
        if isinstance(value, Span):
            self._set(operation, value.length)
        else:
            self._set(operation, len(value) if isinstance(value, (list, str)) else UNKNOWN)

    def _extract_value(self, operation: Any) -> None:
        value, *dynamic = self.operands(operation)
        for raw in operation.attributes["rawConstantIndices"]:
            index = dynamic.pop(0) if raw == _DYNAMIC else raw
            inside = isinstance(value, (list, dict)) and index is not UNKNOWN
            value = value[index] if inside else UNKNOWN
        self._set(operation, value)

    def _insert_value(self, operation: Any) -> None:
        container, value = self.operands(operation)
        fields = dict(container) if isinstance(container, dict) else {}
        (index,) = operation.attributes["position"]
        self._set(operation, {**fields, index: value})

    def _string(self, operation: Any) -> None:
        self._set(operation, plain(operation.attributes["stringLiteral"]))

    def _same(self, operation: Any) -> None:
        self._set(operation, self.operands(operation)[0])

    def _unknown(self, operation: Any) -> None:
        self._set(operation, UNKNOWN)

    # --- control flow -------------------------------------------------------------------------

    def _jump(self, operation: Any) -> Any:
        operands = self.operands(operation)
        if operation.name == "cf.br":
            return self._enter(operation.successors[0], operands)
        if operation.name == "cf.switch":
            raise UnsupportedFunctionError("the kernel branches on several cases at once")
        if operands[0] is UNKNOWN:
            raise UnsupportedFunctionError(
                "the kernel branches on a measured value, or on one that cannot be computed before "
                "the run; that is not supported"
            )
        _test, yes, _no = operation.attributes["operandSegmentSizes"]
        if operands[0]:
            return self._enter(operation.successors[0], operands[1 : 1 + yes])
        return self._enter(operation.successors[1], operands[1 + yes :])

    def _enter(self, block: Any, arguments: Sequence[Any]) -> Any:
        for argument, value in zip(block.arguments, arguments, strict=True):
            self.values[argument] = value
        return block
