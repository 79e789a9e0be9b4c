"""Sessions: acquiring and releasing, in any order, from any process."""

from __future__ import annotations

import contextlib
import pickle
import uuid
from collections.abc import Callable, Collection, Iterator

import pytest

from qrmi.errors import InvalidInputError, QrmiError
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.testing.rules.kit import Kit

__all__ = ["LeaseRules"]

Held = Callable[[], Collection[str]]


class LeaseRules:
    """`acquire` gives a token; `release` takes it back, once or more."""

    @pytest.fixture
    def held_sessions(self) -> Held | None:
        """Tokens of the sessions that the service holds now, for vendors who can look inside."""
        return None

    @pytest.fixture
    def token(self, kit: Kit) -> Iterator[str]:
        """A session, ended after the test whatever came of it."""
        token = kit.resource.acquire()
        yield token
        with contextlib.suppress(QrmiError):
            kit.resource.release(token)

    def test_acquire_gives_a_token(self, token: str) -> None:
        """A token is a text that is not empty."""
        assert isinstance(token, str), f"the token is a {type(token).__name__}"
        assert token, "the token is empty"

    def test_releasing_twice_is_no_error(self, kit: Kit, token: str) -> None:
        """Releasing a session that has ended is no error: an epilog may be the second."""
        kit.resource.release(token)
        kit.resource.release(token)

    def test_an_unknown_token_releases_nothing(
        self, kit: Kit, token: str, held_sessions: Held | None
    ) -> None:
        """Releasing a token that nobody was given is refused or ignored, and ends no session."""
        try:
            kit.resource.release(str(uuid.uuid4()))
        except QrmiError as error:
            kit.check_error(error)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} instead of a QrmiError") from error
        if held_sessions is not None and kit.resource.capabilities.sessions:
            assert token in held_sessions(), "another session's token ended this one"

    def test_no_token_is_an_error(self, kit: Kit) -> None:
        """An empty token is refused and never sent."""
        kit.refused(lambda: kit.resource.release(""), InvalidInputError)

    def test_a_task_runs_in_a_session(self, kit: Kit) -> None:
        """Between acquire and release tasks run as ever, and stay reachable afterwards."""
        with kit.resource.acquired():
            task = kit.completed()
        assert kit.resource.task_status(task) is TaskStatus.COMPLETED
        assert kit.resource.task_result(task).value

    def test_another_object_releases(
        self, kit: Kit, token: str, held_sessions: Held | None
    ) -> None:
        """A token is valid in any process: what a prolog acquired, an epilog releases."""
        other: QuantumResource = pickle.loads(pickle.dumps(kit.resource))
        other.release(token)
        if held_sessions is not None:
            assert token not in held_sessions(), "the session is still held"
        other.close()

    def test_a_session_is_held_until_it_is_released(
        self, kit: Kit, token: str, held_sessions: Held | None
    ) -> None:
        """The service holds a session from acquire to release, and no longer."""
        if held_sessions is None:
            pytest.skip("no held_sessions is given")
        if kit.resource.capabilities.sessions:
            assert token in held_sessions(), "acquire holds nothing"
        else:
            assert not held_sessions(), "sessions are not declared, yet one is held"
        kit.resource.release(token)
        assert token not in held_sessions(), "release leaves the session"

    def test_closing_releases_and_can_be_repeated(
        self, kit: Kit, held_sessions: Held | None
    ) -> None:
        """`close` ends what was acquired through the handle; the handle stays usable."""
        copy: QuantumResource = pickle.loads(pickle.dumps(kit.resource))
        token = copy.acquire()
        copy.close()
        copy.close()
        if held_sessions is not None:
            assert token not in held_sessions(), "close leaves the session"
        task = kit.start(by=copy)
        assert copy.task_wait(task, kit.patience_seconds) is TaskStatus.COMPLETED
        copy.close()
