"""A driver that writes down what another one is asked and answers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import attrs

from qrmi import journal
from qrmi.driver import Driver
from qrmi.errors import QrmiError
from qrmi.interchange.troubles import error_told
from qrmi.interchange.verbs import STARTS, Verbs
from qrmi.recording.hiding import shown_settings
from qrmi.recording.sink import Sink

if TYPE_CHECKING:
    from qrmi.payloads import Payload
    from qrmi.transport import Transport

__all__ = ["Recorder"]


class Recorder(Verbs):
    """Wraps a driver; each call goes to it, and is written with its answer to a sink.

    Written are the method, its arguments, the answer or the error, the thread, when it began and
    how long it took; nothing of HTTP. Secrets of the settings are taken out of all texts, and
    session tokens are replaced by placeholders. It takes what the driver takes, can what the
    driver can, and has the driver's other attributes.

    Args:
        driver: the one that does the work.
        sink: where to write; several recorders may share it.
        resource_type: the resource's type as configuration files spell it, for the file.
    """

    def __init__(self, driver: Driver, sink: Sink, *, resource_type: str = "") -> None:
        super().__init__(driver.resource_id, driver.settings)
        vars(self).update(PAYLOADS=driver.PAYLOADS, CAPABILITIES=driver.CAPABILITIES)
        self.clock = driver.clock
        self._driver = driver
        self._sink = sink
        self._type_name = resource_type
        self._known: set[str] = set()
        sink.scrubber.learn(driver.settings)
        sink.write("resource", self._described())

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (self._driver, self._sink, self._type_name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_driver":  # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self._driver, name)

    def _described(self) -> dict[str, Any]:
        driver = self._driver
        return {
            "name": driver.resource_id,
            "type": self._type_name,
            "payloads": sorted(driver.PAYLOADS),
            "capabilities": attrs.asdict(driver.CAPABILITIES),
            "settle_seconds": driver.settle_seconds,
            "sending_seconds": driver.sending_seconds,
            "settings": shown_settings(driver.settings),
        }

    # --- what is not written ------------------------------------------------------------------

    def use(self, transport: Transport) -> None:
        """Send the driver's requests through ``transport``."""
        self._driver.use(transport)

    def close(self) -> None:
        """Let go of the driver's connections."""
        self._driver.close()

    def can_find(self, payload: Payload) -> bool:
        """As the driver; written with the start of such a payload."""
        return self._driver.can_find(payload)

    def mark_of(self, payload: Payload, key: str) -> str:
        """As the driver; written with the start of such a payload."""
        return self._driver.mark_of(payload, key)

    @property
    def settle_seconds(self) -> float | None:
        """The driver's."""
        return self._driver.settle_seconds

    @property
    def sending_seconds(self) -> float:
        """The driver's."""
        return self._driver.sending_seconds

    # --- what is ------------------------------------------------------------------------------

    def _ask(self, method: str, arguments: dict[str, Any]) -> Any:
        """Ask the driver and write it down; what it raises is written and raised."""
        self._write_context(arguments)
        number, at = self._sink.begin()
        outcome: dict[str, Any] = {}
        begun = time.perf_counter()
        try:
            answer = getattr(self._driver, method)(*arguments.values())
        except Exception as error:
            outcome["error"] = error_told(error)
            raise
        except BaseException as error:  # Ctrl-C: the call has no outcome
            outcome["interrupted"] = type(error).__name__
            raise
        else:
            outcome["answer"] = self._noted(method, answer)
            return answer
        finally:
            told = {
                "n": number,
                "at": round(at, 6),
                "took": round(time.perf_counter() - begun, 6),
                "thread": threading.current_thread().name,
                "resource": self.resource_id,
                "method": method,
                "arguments": self._hidden(arguments),
            }
            if method in STARTS:
                told["findable"] = self._driver.can_find(arguments["payload"])
                told["mark"] = self._driver.mark_of(arguments["payload"], arguments["key"])
            self._sink.write("call", {**told, **outcome})

    def _noted(self, method: str, answer: Any) -> Any:
        if method in STARTS and isinstance(answer, str):
            self._known.add(answer)
        is_token = method == "acquire" and isinstance(answer, str)
        return self._sink.scrubber.token(answer) if is_token else answer

    def _hidden(self, arguments: dict[str, Any]) -> dict[str, Any]:
        token = arguments.get("token")
        if not isinstance(token, str):
            return arguments
        return {**arguments, "token": self._sink.scrubber.token(token)}

    def _write_context(self, arguments: dict[str, Any]) -> None:
        """Write what the journal has of a task that was started before the recording."""
        task_id = arguments.get("task_id") or arguments.get("batch_id")
        if task_id is None or task_id in self._known:
            return
        self._known.add(task_id)
        try:
            record = journal.default().task(task_id, self.resource_id)
        except QrmiError:
            return
        told = {
            "resource": self.resource_id,
            "type": record.resource_type,
            "task": task_id,
            "key": record.key,
            "format": record.payload_format,
            "digest": record.payload_digest,
            "context": dict(record.context),
        }
        self._sink.write("task", told)


def _revive(driver: Driver, sink: Sink, resource_type: str) -> Recorder:
    return Recorder(driver, sink, resource_type=resource_type)
