"""Errors that are openqrmi's and Qiskit's at once: either ``except`` clause catches them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qiskit.providers import QiskitBackendNotFoundError

from qrmi.errors import InvalidInputError, QrmiError, ResourceNotFoundError

__all__ = ["BackendNotFoundError", "InvalidPubError", "InvalidPubTypeError", "pub_errors"]


class InvalidPubError(InvalidInputError, ValueError):
    """A value in a pub is wrong: shots, precision, parameters or observables; nothing was sent."""


class InvalidPubTypeError(InvalidInputError, TypeError):
    """Something in a pub has the wrong type; nothing was sent."""


class BackendNotFoundError(ResourceNotFoundError, QiskitBackendNotFoundError):  # type: ignore[misc]
    """No resource of that name takes gate programs."""


@contextmanager
def pub_errors() -> Iterator[None]:
    """Turn Qiskit's complaints about a pub into ours, which remain Qiskit's as well."""
    try:
        yield
    except QrmiError:
        raise
    except TypeError as error:
        raise InvalidPubTypeError(str(error)) from error
    except ValueError as error:
        raise InvalidPubError(str(error)) from error
