"""A process that has imported the library and does nothing but fork: a new process costs little.

``python zygote.py`` reads a line of JSON for each process that it is to fork: the name of a
function of `lives`, and its arguments. It answers with a line: how the process ended, and
what it told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Self

import attrs

__all__ = ["Ended", "Zygote"]


@attrs.frozen(kw_only=True)
class Ended:
    """How a process ended.

    Attributes:
        signal: what killed it, or 0.
        code: its exit code otherwise.
        told: what it told by and by; later words replace earlier ones of the same name.
    """

    signal: int
    code: int
    told: dict[str, Any]


class Zygote:
    """The other process. For several threads, one after the other."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def run(self, function: str, **arguments: Any) -> Ended:
        """Run a function of `lives` in a new process, to its end."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"function": function, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, "the zygote is gone"
        ended = Ended(**json.loads(line))
        if ended.code or ended.signal not in (0, 9):
            raise AssertionError(f"{function}({arguments}) ended badly: {ended}")
        return ended


# --- the process itself -----------------------------------------------------------------------


def _child(words: dict[str, Any], pipe: int) -> None:
    import lives

    def tell(**told: Any) -> None:
        os.write(pipe, json.dumps(told).encode() + b"\n")

    try:
        getattr(lives, words.pop("function"))(tell, **words)
    except BaseException:
        tell(crash=traceback.format_exc())
        os._exit(1)
    os._exit(0)  # what the end of an interpreter does is not wanted here


def _forked(words: dict[str, Any]) -> dict[str, Any]:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _child(words, writable)
    os.close(writable)
    told: dict[str, Any] = {}
    with open(readable, encoding="utf-8") as lines:  # noqa: PTH123 (a descriptor)
        for line in lines:
            told |= json.loads(line)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    return {
        "signal": os.WTERMSIG(status) if killed else 0,
        "code": 0 if killed else os.WEXITSTATUS(status),
        "told": told,
    }


def main() -> None:
    """Fork until the input ends."""
    import lives

    lives.warm_up()
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)


if __name__ == "__main__":
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent / "exactly_once")]
    main()
