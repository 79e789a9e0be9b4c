"""``qrmi record`` and ``qrmi replay``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from qrmi.recording import load

ASK = """
import qrmi
resource = qrmi.open()
print(resource.metadata())
"""


def test_the_command_is_itself(bench):
    """Input, output, error output and exit code are the command's; the summary is on stderr."""
    command = bench.program(
        "import sys; print(sys.stdin.read().upper()); print('oh', file=sys.stderr); sys.exit(7)"
    )
    done = bench.qrmi("record", bench.file, "--", *command, stdin="hello")
    assert done.returncode == 7
    assert done.stdout == "HELLO\n"
    first, second = done.stderr.splitlines()
    assert first == "oh"
    assert second.startswith("recorded 0 calls, 0 tasks, 0 resources, ")
    assert second.endswith(f": {bench.file}")
    done = bench.qrmi("replay", bench.file, "--", *command, stdin="again")
    assert (done.returncode, done.stdout, done.stderr) == (7, "AGAIN\n", "oh\n")


def test_options_of_the_command_are_its_own(bench):
    """What follows -- is never taken for an option of ours, a second -- neither."""
    command = bench.program("import sys; print(sys.argv[1:])")
    done = bench.qrmi("record", bench.file, "--", *command, "--force", "-h", "--", "--json")
    assert done.stdout == "['--force', '-h', '--', '--json']\n"


def test_a_file_is_kept(bench):
    """Nothing is overwritten, and nothing run, without --force."""
    bench.file.write_text("precious")
    command = bench.program("print('ran')")
    done = bench.record(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is there already" in done.stderr
    assert bench.file.read_text() == "precious"
    done = bench.qrmi("record", "--force", bench.file, "--", *command)
    assert (done.returncode, done.stdout) == (0, "ran\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["record", "x.jsonl"], "which command?"),
        (["record", "x.jsonl", "true"], "put -- before the command: qrmi record FILE -- true"),
        (["record", "x.jsonl", "--", "no-such-command"], "there is no command 'no-such-command'"),
        (["replay", "none.jsonl"], "there is no recording"),
        (["replay", "none.jsonl", "--", "true"], "there is no recording"),
    ],
)
def test_mistakes(bench, arguments, said):
    """Each says what is wrong; no file is made."""
    done = bench.qrmi(*arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert list(bench.folder.iterdir()) == []


def test_showing_a_recording(bench):
    """A table for people: equal calls in a row are one line; and all of it as JSON."""
    bench.record(
        bench.program(
            ASK + "[resource.is_accessible() for _ in range(3)]; resource.task_status('x')"
        )
    )
    done = bench.qrmi("replay", bench.file)
    assert done.returncode == 0
    assert done.stdout.startswith("5 calls, 1 task, 1 resource, ")
    assert "is_accessible() x 3" in done.stdout
    assert "TaskNotFoundError: " in done.stdout
    told = json.loads(bench.qrmi("replay", "--json", bench.file).stdout)
    assert told == json.loads(bench.qrmi("replay", bench.file, "--json").stdout)
    assert [call["method"] for call in told["calls"]] == [
        "metadata", *["is_accessible"] * 3, "task_status",
    ]  # fmt: skip
    assert told["calls"][0]["answer"] == {"backend_name": "local"}
    assert told["calls"][-1]["error"]["class"] == "TaskNotFoundError"
    assert told["resources"][0]["capabilities"]["repeatable_start"] is True


def test_our_own_commands(bench):
    """`qrmi run` and `qrmi result`, in two processes of one recording, and again."""
    circuit = bench.folder / "bell.qasm"
    circuit.write_text(
        'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; h q[0]; cx q[0],q[1]; '
        "measure q -> c;"
    )
    script = bench.folder / "both.sh"
    run = f"{sys.executable} -W ignore -m qrmi"
    script.write_text(
        f"id=$({run} run local {circuit} --shots 50 --no-wait)\n{run} result --json $id --wait\n"
        f"{run} resources\n"
    )
    recorded = bench.record(["sh", str(script)])
    assert recorded.returncode == 0, recorded.stderr
    replayed = bench.replay(["sh", str(script)])
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines()[0] == recorded.stdout.splitlines()[0]
    assert "counts" in recorded.stdout
    assert "recording" in replayed.stdout  # where `qrmi resources` says it is from


def test_workers_take_part(bench):
    """A pool of processes with equal programs: each gets a recorded task of its own."""
    command = bench.program("""
import multiprocessing, qrmi
from qrmi.payloads import QiskitPrimitive
def work(number):
    resource = qrmi.open()
    task_id = resource.task_start(QiskitPrimitive('{"pubs": [], "version": 2}', "sampler"))
    return task_id, resource.task_wait(task_id).name
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(sorted(pool.map(work, range(4), chunksize=1)))
""")
    recorded = bench.record(command)
    assert recorded.returncode == 0, recorded.stderr
    replayed = bench.replay(command)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout
    assert len({line["process"] for line in bench.entries() if line["kind"] == "call"}) >= 2


WAITING = (
    ASK
    + """
import sys, time
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(resource.metadata())
    sys.exit(9)
"""
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 9), (signal.SIGTERM, 143)])
def test_signals_reach_the_command(bench, number, code):
    """Ctrl-C and SIGTERM end the command as they would without us; the recording is whole."""
    command = bench.program(WAITING)
    recorder = subprocess.Popen(
        [sys.executable, "-m", "qrmi", "record", str(bench.file), "--", *command],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=bench.environment(),
    )
    assert recorder.stdout is not None
    while recorder.stdout.readline() != "ready\n":
        pass
    recorder.send_signal(number)
    rest = recorder.stdout.read()
    assert recorder.wait(30) == code
    calls = 1 + (code == 9)
    assert rest.count("backend_name") == calls - 1
    assert len(load(bench.file).calls) == calls
    assert list(bench.folder.glob("*.part")) == []


def test_a_killed_recorder_leaves_its_parts(bench):
    """After SIGKILL the parts are read as they are."""
    command = bench.program(WAITING)
    recorder = subprocess.Popen(
        [sys.executable, "-m", "qrmi", "record", str(bench.file), "--", *command],
        stdout=subprocess.PIPE,
        text=True,
        env=bench.environment(),
    )
    assert recorder.stdout is not None
    while recorder.stdout.readline() != "ready\n":
        pass
    recorder.kill()
    recorder.wait(30)
    assert [call.method for call in load(bench.file).calls] == ["metadata"]
    (part,) = bench.folder.glob("*.part")
    pid = int(part.name.split(".")[-2].split("-")[0])
    os.kill(pid, signal.SIGTERM)
    recorder.stdout.read()  # until the program is gone


def test_the_variables_alone(bench, tmp_path):
    """QRMI_RECORD and QRMI_REPLAY do without the commands."""
    command = bench.program(ASK)
    file = tmp_path / "bare.jsonl"
    for variable in ("QRMI_RECORD", "QRMI_REPLAY"):
        begun = time.monotonic()
        done = subprocess.run(
            command,
            env=bench.environment(**{variable: str(file)}),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "{'backend_name': 'local'}\n"
        assert time.monotonic() - begun < 60
    assert len(load(file).calls) == 1
