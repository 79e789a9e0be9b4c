"""The devices behind an account, asked for once in a while however many jobs want one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from qrmi import plugins
from qrmi.config_file import ResourceDef
from qrmi.driver import Driver
from qrmi.errors import QrmiError
from qrmi.settings import MappingSource, Settings
from qrmi.site.lending.lease_states import Device

__all__ = ["DeviceLists"]

_KEPT_SECONDS = 5.0
_MOST_KEPT = 200
_OFFLINE = "it is not online"


class _List:
    """What an account answered, or why it did not."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.devices: Sequence[Device] = ()
        self.error: QrmiError | None = None


class DeviceLists:
    """The devices of accounts; answers, refusals too, are kept for a few seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: dict[tuple[object, ...], _List] = {}

    def devices(self, account: ResourceDef, filters: Mapping[str, str]) -> Sequence[Device]:
        """Those that pass, online ones first, shortest queue first; each says if it is away.

        Raises:
            QrmiError: the account cannot be asked, or cannot list devices.
        """
        settled = tuple(sorted(account.environment.items()))
        key = (account.name, account.type_name, settled, *sorted(filters.items()))
        with self._lock:
            if len(self._lists) > _MOST_KEPT:
                self._lists.clear()
            kept = self._lists.setdefault(key, _List())
        with kept.lock:
            if time.monotonic() >= kept.until:
                _renew(kept, account, filters)
            if kept.error is not None:
                raise kept.error.with_traceback(None)
            return kept.devices


def _renew(kept: _List, account: ResourceDef, filters: Mapping[str, str]) -> None:
    try:
        kept.devices, kept.error = _listed(account, filters), None
    except QrmiError as error:
        kept.devices, kept.error = (), error
    kept.until = time.monotonic() + _KEPT_SECONDS


def _listed(account: ResourceDef, filters: Mapping[str, str]) -> list[Device]:
    kind = plugins.driver_class(account.type_name)
    settings = kind.SETTINGS.load(MappingSource(account.environment))
    online = _names(kind, settings, {**filters, "status": "online"})
    others = [] if "status" in filters else _names(kind, settings, filters)
    away = [name for name in others if name not in online]
    return [
        Device(name=name, entry=account.name, type=account.type_name, away=reason)
        for reason, names in (("", online), (_OFFLINE, away))
        for name in names
    ]


def _names(kind: type[Driver], settings: Settings, filters: Mapping[str, str]) -> list[str]:
    """Simulators too, unless the filters leave them out."""
    drivers = kind.discover(settings, filters)
    if "is_simulator" not in filters:
        drivers = [*drivers, *kind.discover(settings, {**filters, "is_simulator": "true"})]
    return list(dict.fromkeys(driver.resource_id for driver in drivers))
