"""What rules have to know that a handle keeps to itself."""

from __future__ import annotations

from qrmi.driver import Driver
from qrmi.resource import QuantumResource
from qrmi.settings import Secret

__all__ = ["declared_secrets", "driver_of"]


def driver_of(resource: QuantumResource) -> Driver:
    """The driver below a handle, where a rule is about the driver alone."""
    driver = resource._driver
    assert isinstance(driver, Driver)
    return driver


def declared_secrets(resource: QuantumResource) -> tuple[str, ...]:
    """The texts of the settings that are declared as secrets."""
    settings = driver_of(resource).settings
    values = (getattr(settings, name) for name in settings.declarations())
    return tuple(value.reveal() for value in values if isinstance(value, Secret))
