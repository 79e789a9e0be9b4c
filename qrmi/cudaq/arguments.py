"""Arguments of kernels that CUDA-Q cannot make constant are refused before it tries.

CUDA-Q 0.16 reads these wrongly when a kernel is specialised to its arguments (measured): a record
(dataclass or tuple) whose list is not its last field gives wrong values behind that list, a list of
``bool`` inside a record or another list gives wrong values or ends the interpreter, and so does an
argument that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["check"]

_HINT = "pass each list as an argument of its own"
_INNER_BOOLS = re.compile(r"(?<!^)!cc\.sequence<i1>")
_LIST = ("!cc.sequence<", "!cc.charspan")


def check(module: Any, kernel: str, count: int) -> None:
    """Make sure that CUDA-Q can specialise a kernel.

    Args:
        module: the kernel's module (MLIR), not yet specialised.
        kernel: its name, for messages.
        count: how many arguments it is called with, those that it captures included.

    Raises:
        InvalidInputError: it takes another number of arguments.
        UnsupportedFunctionError: an argument is of a type that CUDA-Q reads wrongly.
    """
    kinds = _argument_types(module, kernel)
    if kinds is None:
        return
    if len(kinds) != count:
        raise InvalidInputError(
            f"the kernel takes {len(kinds)} arguments (captured ones included), not {count}"
        )
    for kind in kinds:
        if _INNER_BOOLS.search(kind):
            raise UnsupportedFunctionError(
                "a list of bool inside another argument is not supported",
                hint="use list[int] there, or pass the list as an argument of its own",
            )
        if any(_misplaced(fields) for fields in _records(kind)):
            raise UnsupportedFunctionError(
                "a dataclass or tuple with a field behind a list is not supported", hint=_HINT
            )


def _argument_types(module: Any, kernel: str) -> list[str] | None:
    """The types of the kernel's arguments in MLIR's words; ``None`` when it cannot be found."""
    name = f"__nvqpp__mlirgen__{kernel}"
    for operation in module.body.operations:
        attributes = operation.attributes
        if "sym_name" in attributes and attributes["sym_name"].value == name:
            return [str(kind) for kind in attributes["function_type"].value.inputs]
    return None


def _misplaced(fields: list[str]) -> bool:
    """Whether a field of a record, but the last, holds a list."""
    return any(word in field for field in fields[:-1] for word in _LIST)


def _records(kind: str) -> Iterator[list[str]]:
    """The types of the fields of each record in a type, for the outer and the inner ones."""
    for start in (match.end() for match in re.finditer(r'!cc\.struct<(?:"[^"]*" )?\{', kind)):
        fields, depth = [""], 0
        for letter in kind[start:]:
            if letter == "}" and depth == 0:
                break
            depth += (letter in "<{") - (letter in ">}")
            if letter == "," and depth == 0:
                fields.append("")
            else:
                fields[-1] += letter
        yield fields
