"""What a resource says of itself."""

from __future__ import annotations

import json
import math
import pickle
import threading
from pathlib import Path

import pytest

from qrmi.driver import Capabilities
from qrmi.settings import Settings
from qrmi.tasks import ResourceCapacity, ResourceStatus, ResourceStatusCode, ResourceType, Target
from qrmi.testing.rules.kit import Kit

__all__ = ["DescriptionRules"]

_DESCRIPTORS = Path("/proc/self/fd")


class DescriptionRules:
    """Names, status, target and metadata are what they claim to be."""

    def test_it_has_a_name_and_a_type(self, kit: Kit) -> None:
        """Name and type are texts; upstream's types are given as its enum."""
        name, type_name = kit.resource.resource_id(), kit.resource.type_name
        assert isinstance(name, str), f"its name is {name!r}"
        assert name, "its name is empty"
        assert isinstance(type_name, str), f"its type is {type_name!r}"
        assert kit.resource.resource_type() == ResourceType.from_name(type_name)
        assert kit.driver.resource_id == name, "the driver has another name"

    def test_it_says_which_payloads_it_takes(self, kit: Kit) -> None:
        """The formats are a frozen set of texts, and `program` is in one of them."""
        formats = kit.resource.payloads
        assert isinstance(formats, frozenset), f"PAYLOADS is a {type(formats).__name__}"
        assert all(isinstance(each, str) and each for each in formats), f"PAYLOADS is {formats}"
        assert kit.program.FORMAT in formats, f"`program` is {kit.program.FORMAT}"

    def test_it_declares_capabilities(self, kit: Kit) -> None:
        """Capabilities are a `Capabilities`, with an interval that a program can wait."""
        declared = kit.resource.capabilities
        assert isinstance(declared, Capabilities), f"they are a {type(declared).__name__}"
        interval = declared.min_poll_seconds
        assert math.isfinite(interval), f"min_poll_seconds is {interval}"
        assert 0 < interval <= 60, f"min_poll_seconds is {interval}"

    def test_it_declares_settings(self, kit: Kit) -> None:
        """Settings are an instance of the declared class; each has a key of its own and a help."""
        declared = type(kit.driver).SETTINGS
        assert issubclass(declared, Settings), "SETTINGS is no Settings class"
        assert isinstance(kit.driver.settings, declared), "its settings are of another class"
        declarations = declared.declarations().values()
        keys = [declaration.key for declaration in declarations]
        assert len(set(keys)) == len(keys), "two settings have the same key"
        for declaration in declarations:
            assert declaration.help, f"{declaration.key} has no help"

    def test_it_says_whether_it_is_accessible(self, kit: Kit) -> None:
        """`is_accessible` is true or false: the rules need a resource that takes tasks."""
        assert kit.resource.is_accessible() is True

    def test_its_status_is_well_formed(self, kit: Kit) -> None:
        """Every field has its type, or is ``None`` for "not reported"."""
        status = kit.resource.status()
        assert isinstance(status, ResourceStatus), f"status() gave {type(status).__name__}"
        assert isinstance(status.status, ResourceStatusCode), f"its code is {status.status!r}"
        assert status.status is ResourceStatusCode.ONLINE, "accessible, but not online"
        assert isinstance(status.status_reason, str | None)
        assert status.status_reason != "", "an empty reason: not reported is None"
        for name in ("healthy", "busy"):
            assert isinstance(getattr(status, name), bool | None), f"{name} is no bool"
        _check_capacity(status.capacity)
        json.dumps(status.to_dict())

    def test_its_queue_is_told_when_declared(self, kit: Kit) -> None:
        """``queue_position``: the number of pending tasks is told, and is at least 0."""
        pending = kit.resource.status().pending_job_count
        assert type(pending) in (int, type(None)), f"pending_job_count is {pending!r}"
        assert pending is None or pending >= 0, f"{pending} pending tasks"
        if kit.resource.capabilities.queue_position:
            assert pending is not None, "queue_position is declared, but not reported"

    def test_its_target_is_json(self, kit: Kit) -> None:
        """The target is a JSON text that says something."""
        target = kit.resource.target()
        assert isinstance(target, Target), f"target() gave {type(target).__name__}"
        assert isinstance(target.value, str), f"its value is {type(target.value).__name__}"
        try:
            told = json.loads(target.value)
        except ValueError as error:
            raise AssertionError(f"the target is not JSON: {error}") from error
        assert isinstance(told, dict | list), "the target is neither an object nor a list"

    def test_its_metadata_are_texts(self, kit: Kit) -> None:
        """Metadata are texts by texts."""
        metadata = kit.resource.metadata()
        assert isinstance(metadata, dict), f"metadata() gave {type(metadata).__name__}"
        for name, value in metadata.items():
            assert isinstance(name, str), f"{name!r} is no text"
            assert isinstance(value, str), f"the value of {name} is no text"

    def test_making_a_handle_opens_nothing(self, kit: Kit) -> None:
        """A thousand handles are affordable: making one opens no file, socket or thread."""
        if not _DESCRIPTORS.exists():
            pytest.skip("this system does not tell open files")
        pickled = pickle.dumps(kit.resource)
        pickle.loads(pickled)  # what is loaded at the first use is not counted
        files, threads = _open_files(), threading.active_count()
        copies = [pickle.loads(pickled) for _ in range(20)]
        assert _open_files() < files + len(copies), "each handle opens a file or socket"
        assert threading.active_count() < threads + len(copies), "each handle starts a thread"


def _check_capacity(capacity: ResourceCapacity | None) -> None:
    if capacity is not None:
        assert isinstance(capacity, ResourceCapacity), f"capacity is {type(capacity).__name__}"
        assert 0 <= capacity.available_slots <= capacity.max_slots, f"capacity is {capacity}"


def _open_files() -> int:
    return len(list(_DESCRIPTORS.iterdir()))
