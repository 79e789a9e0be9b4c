"""Signals that end the process: what must not be left behind is put right first.

Handlers are there only while there is something to do (`qrmi.lifetime.ending`): a lease is held,
or a `QuantumResource.stopping` block is open. They are installed by the main thread, and only
where the signal's default action would have ended the process at once. What the program handles
itself is left to it: Python's own handler of Ctrl-C, which raises ``KeyboardInterrupt``; a signal
that it ignores; a function of its own. The handler stands for the default action: it has the
duties carried out, waits for that `qrmi.lifetime.ending.LIMIT_SECONDS` at most, and then lets the
signal end the process, so that whoever started it sees the usual status.

The variable ``QRMI_SIGNALS=off`` and the function `off` switch all of this off.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType

from qrmi import config
from qrmi.lifetime import ending
from qrmi.waiting import Deadline, SystemClock

__all__ = ["guard", "installed", "off", "on", "release", "tidy"]

_ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)
_GRACE_SECONDS = 0.5
_LOOK_SECONDS = 0.05
_clock = SystemClock()
_is_off = False
_has_looked = False  # for signals to handle, since there are duties
_is_acting = False
_listens = False
_listened = False  # before the fork that is under way


def off() -> None:
    """Install no handlers any more, and take back those that are there (main thread)."""
    global _is_off
    _is_off = True
    if _in_main_thread():
        _take_back()


def on() -> None:
    """Undo `off`: handlers are installed again, now (main thread) or with the next duty."""
    global _is_off
    _is_off = False
    tidy()


def guard(duty: ending.Duty) -> None:
    """Have something done before the process ends, by a signal too where that can be."""
    ending.take_on(duty, _heard)
    tidy()


def release(duty: ending.Duty) -> None:
    """It is done: the handlers go with the last duty, as soon as the main thread is here."""
    ending.lay_down(duty)
    if not (_has_looked and ending.is_busy()):
        tidy()


def installed() -> list[signal.Signals]:
    """The signals that are handled here now."""
    return [number for number in _ENDING if signal.getsignal(number) is _on_signal]


def tidy() -> None:
    """Install or take back handlers as it fits; does nothing but in the main thread."""
    if not _in_main_thread():
        return
    if ending.is_busy():
        if config.signals_are_handled() and not _is_off:
            _install()
    else:
        _take_back()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _install() -> None:
    global _has_looked
    _has_looked = True
    ours = False
    try:
        for number in _ENDING:
            present = signal.getsignal(number)
            if present is signal.SIG_DFL:
                signal.signal(number, _on_signal)
            ours |= present is signal.SIG_DFL or present is _on_signal
    except ValueError:
        return  # not the main interpreter
    if ours:
        _listen()


def _take_back() -> None:
    global _has_looked
    _has_looked = False
    for number in installed():  # what the program has put in their place stays
        signal.signal(number, signal.SIG_DFL)
    _listen_no_more()


# --- a main thread that cannot act --------------------------------------------------------------


def _listen() -> None:
    """Have the keeper woken by signals, for a main thread that is deep in other than Python code.

    Where an event loop has taken this place already, the handlers work without it.
    """
    global _listens
    keeper = ending.keeper()
    if _listens or keeper is None:
        return
    before = signal.set_wakeup_fd(keeper.pipe, warn_on_full_buffer=False)
    _listens = before == -1
    if not _listens:
        signal.set_wakeup_fd(before)


def _listen_no_more() -> bool:
    """Give the place up; returns whether it was still ours."""
    global _listens
    if not _listens:
        return False
    _listens = False
    keeper = ending.keeper()
    present = signal.set_wakeup_fd(-1)
    is_ours = keeper is not None and present == keeper.pipe
    if not is_ours and present != -1:
        signal.set_wakeup_fd(present)  # an event loop's, which came after us
    return is_ours


def _heard(number: int) -> None:
    """In the keeper: a signal has come; end the process if the main thread does not."""
    if number not in _ENDING or signal.getsignal(number) is not _on_signal:
        return
    ending.at_signal()
    patience = Deadline.after(_GRACE_SECONDS, _clock)
    while not patience.passed:
        if _is_acting:
            return
        _clock.sleep(_LOOK_SECONDS)
    import ctypes  # `signal.signal` is for the main thread alone

    ctypes.CDLL(None).signal(int(number), 0)
    _end(number)


# --- the handler --------------------------------------------------------------------------------


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """Do what must be done, then what the system would have done at once."""
    global _is_acting
    if _is_acting:
        return  # some send it twice, to a process and to its group
    _is_acting = True
    keeper = ending.keeper()
    if keeper is not None and keeper.pid == os.getpid() and ending.duties():
        _wait_patiently(keeper.post(ending.at_signal))
    signal.signal(number, signal.SIG_DFL)
    _end(number)


def _wait_patiently(done: threading.Event) -> None:
    patience = Deadline.after(ending.LIMIT_SECONDS + _GRACE_SECONDS, _clock)
    while not (done.is_set() or patience.passed):
        try:
            done.wait(patience.shorten(ending.LIMIT_SECONDS))
        except BaseException:  # another signal's handler, Ctrl-C's say: the end is near anyway
            continue


def _end(number: int) -> None:
    os.kill(os.getpid(), number)
    _clock.sleep(_GRACE_SECONDS)
    os._exit(128 + number)  # the first process of a container, which signals do not end


# --- forks --------------------------------------------------------------------------------------


def _before_fork() -> None:
    """A signal to the child, before it is on its own, must not reach the parent's keeper."""
    global _listened
    _listened = _in_main_thread() and _listen_no_more()


def _after_fork_in_parent() -> None:
    if _listened and installed():
        _listen()


def _after_fork_in_child() -> None:
    global _has_looked
    _has_looked = False
    with contextlib.suppress(ValueError):  # not the main interpreter
        _listen_no_more()
        for number in installed():
            signal.signal(number, signal.SIG_DFL)
    ending.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
