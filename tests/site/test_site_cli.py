"""`qrmi site`: what people at a terminal, and their scripts, get to see."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_lab import Qrmid, as_user, job

from qrmi.cli import site, site_check, site_unit
from qrmi.cli.main import main
from qrmi.errors import InvalidInputError
from qrmi.site.settings import SiteSettings
from qrmi.site.terms import Job

CANARY = "canary-77aa01c3f2"
EMU = {"name": "emu", "type": "local", "environment": {}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Qrmid]:
    """One daemon for all commands."""
    resources = [EMU, {**EMU, "name": "two", "slots": 3}]
    daemon = Qrmid(tmp_path_factory.mktemp("q"), resources=resources)
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
def run(running: Qrmid, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command against that daemon: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["site", *words, "--config", str(running.toml)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Run = Callable[..., tuple[int, str, str]]


def lend(daemon: Qrmid, number: int, name: str = "emu") -> None:
    """Have a job hold it."""
    body = {"job": job(number, user="alice").as_json(), "want": {"names": [name]}}
    assert daemon.client().post("/v1/leases", body)["outcome"] == "granted"


def test_status(run: Run) -> None:
    """The daemon, and each resource as it stands once it has been looked at."""
    for _ in range(100):
        code, out, _ = run("status")
        if "unknown" not in out:
            break
        time.sleep(0.1)
    assert code == 0
    assert re.search(r"qrmid \S+ answers at /tmp/", out)
    assert re.search(r"two +local +online +0/3", out)
    code, out, _ = run("status", "--json")
    told = json.loads(out)
    assert told["ok"]
    assert [row["name"] for row in told["resources"]] == ["emu", "two"]


def test_leases_and_their_end(run: Run, running: Qrmid) -> None:
    """A lease is listed with its key, which is what `end` takes."""
    lend(running, 1)
    code, out, _ = run("leases")
    assert code == 0
    assert re.search(r"slurm/lab/1/0/1700000000 +alice +emu +held", out)
    (row,) = json.loads(run("leases", "--json")[1])
    assert "token" not in json.dumps(row)
    code, out, _ = run("end", row["key"], "--why", "it is stuck")
    assert (code, out) == (0, "released  emu\n")
    code, out, err = run("end", row["key"])
    assert (code, out) == (0, "")
    assert "held nothing" in err
    assert run("leases")[2] == "no lease that you may see\n"
    assert "it is stuck" in running.log()


@pytest.mark.parametrize("key", ["x", "slurm/lab/1", "slurm/lab/1/0/x", "slurm/lab/1/-1/5"])
def test_a_wrong_key(run: Run, key: str) -> None:
    """A usage error, and where to find keys."""
    code, _, err = run("end", key)
    assert code == 2
    assert "qrmi site leases" in err


_LETTERS = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/")
_WORD = st.text(_LETTERS, min_size=1, max_size=30)


@given(
    scheduler=_WORD,
    cluster=_WORD,
    id=_WORD,
    restart=st.integers(0, 10**6),
    submitted=st.none() | st.integers(0, 10**12),
)
def test_keys_are_read_as_they_are_written(
    scheduler: str,
    cluster: str,
    id: str,  # noqa: A002
    restart: int,
    submitted: int | None,
) -> None:
    """Of any job."""
    fields = {"scheduler": scheduler, "cluster": cluster, "id": id, "restart": restart}
    made = Job(**fields, submitted=submitted)
    assert site._job(made.key) == {**fields, "submitted": submitted}


@given(st.text())
def test_junk_keys(key: str) -> None:
    """Our error, or a job whose key it is."""
    try:
        read = site._job(key)
    except InvalidInputError:
        return
    assert read["restart"] >= 0


def test_drain_and_resume(run: Run, running: Qrmid) -> None:
    """New jobs are told later, with the reason; the list shows it; resume ends it."""
    code, out, _ = run("drain", "two", "--reason", "laser service", "--until", "2h")
    assert (code, out) == (0, "two is lent to no new job\n")
    (row,) = [r for r in json.loads(run("status", "--json")[1])["resources"] if r["name"] == "two"]
    assert (row["state"], row["reason"]) == ("drained", "laser service")
    assert 7000 < row["until"] - time.time() < 7300
    body = {"job": job(5).as_json(), "want": {"names": ["two"]}}
    answer = running.client().post("/v1/leases", body)
    assert answer["outcome"] == "later"
    assert "laser service" in answer["reason"]
    code, out, _ = run("resume", "two")
    assert code == 0
    assert out == "two is online\n"
    assert running.client().post("/v1/leases", body)["outcome"] == "granted"
    running.client().post("/v1/leases/end", {"job": job(5).as_json()})


def test_a_resource_that_is_not_there(run: Run) -> None:
    """Exit code 6, and what there is."""
    code, _, err = run("drain", "tow", "--reason", "x")
    assert code == 6
    assert "emu, two" in err


@pytest.mark.parametrize(
    "words",
    [
        ("drain", "emu"),
        ("drain", "emu", "--reason", "x", "--until", "1999-01-01"),
        ("drain", "emu", "--reason", "x", "--until", "soon"),
        ("drain", "emu", "--reason", " "),
        ("usage", "--by", "moon"),
        ("usage", "--since", "yesterdayish"),
    ],
)
def test_wrong_arguments(run: Run, words: tuple[str, ...]) -> None:
    """Exit code 2."""
    assert run(*words)[0] == 2


def test_usage(run: Run, running: Qrmid) -> None:
    """A job that ended is summed up, by user, resource and account."""
    lend(running, 9)
    running.client().post("/v1/leases/end", {"job": job(9).as_json()})
    end = time.monotonic() + 20
    while not any(row["name"] == "alice" for row in json.loads(run("usage", "--json")[1])):
        assert time.monotonic() < end
        time.sleep(0.1)
    code, out, _ = run("usage", "--by", "resource", "--since", "1h")
    assert code == 0
    assert re.search(r"(?m)^emu +\d", out)
    code, _, err = run("usage", "--since", "2039-01-01")
    assert (code, err) == (0, "the ledger has no such job\n")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become others")
def test_a_user_is_told_whom_to_ask(running: Qrmid) -> None:
    """403 becomes exit code 1 with owner and hint; the list of resources is for everybody."""
    socket = str(running.socket)

    def asked(*words: str) -> list[Any]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["site", *words, "--socket", socket])
        return [code, out.getvalue(), err.getvalue()]

    asked("status")  # what it needs is imported as long as it can be read
    code, _, err = as_user(4242, lambda: asked("drain", "emu", "--reason", "mine"))["value"]
    assert code == 1
    assert "administrators" in err
    assert "`admins` of qrmid.toml" in err
    code, out, _ = as_user(4242, lambda: asked("status"))["value"]
    assert code == 0
    assert "emu" in out


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; what to look at; as JSON, too."""
    code = main(["site", "status", "--socket", str(tmp_path / "none")])
    assert code == 1
    assert "systemctl status qrmid" in capsys.readouterr().err
    code = main(["site", "status", "--socket", str(tmp_path / "none"), "--json"])
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["owner"], error["retryable"]) == ("site", True)


def test_the_job_environment_names_the_daemon(
    running: Qrmid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inside a job no option is needed."""
    monkeypatch.setenv("QRMI_SITE_SOCKET", str(running.socket))
    assert main(["site", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["where"] == str(running.socket)


def _site(folder: Path, entry: dict[str, Any], **settings: Any) -> Path:
    config = folder / "qrmi_config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"resources": [entry]}))
    values = {"config": str(config), "state": str(folder / "s"), "socket": str(folder / "q")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**values, **settings}.items()]
    (folder / "qrmid.toml").write_text("\n".join(lines))
    return folder / "qrmid.toml"


def _iqm(**more: Any) -> dict[str, Any]:
    environment = {"QRMI_IQM_ISA_ENDPOINT": "http://127.0.0.1:9", "QRMI_IQM_ISA_TOKEN": CANARY}
    return {"name": "iqm1", "type": "iqm-server", "environment": environment, **more}


def _checked(capsys: pytest.CaptureFixture[str], file: Path) -> tuple[int, list[dict[str, Any]]]:
    code = main(["site", "check", "--config", str(file), "--json"])
    text = capsys.readouterr().out
    assert CANARY not in text
    return code, json.loads(text)["findings"]


def test_check_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; for people there is a table."""
    file = _site(tmp_path, _iqm())
    code, findings = _checked(capsys, file)
    assert code == 0
    assert {f["state"] for f in findings} == {"ok"}
    assert main(["site", "check", "--config", str(file)]) == 0
    assert "0 problem(s), 0 warning(s)" in capsys.readouterr().out


def test_check_warns_of_exported_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here and in `qrmi config check`; it is no problem, for the site may want it."""
    file = _site(tmp_path, _iqm(export_secrets=True))
    code, findings = _checked(capsys, file)
    assert code == 0
    (warning,) = [f for f in findings if f["state"] == "warning"]
    assert warning["about"] == "iqm1 export_secrets"
    assert main(["config", "check", str(tmp_path / "qrmi_config.json")]) == 0
    out = capsys.readouterr().out
    assert "export_secrets" in out
    assert "1 warning(s)" in out
    assert CANARY not in out


@pytest.mark.parametrize(
    ("entry", "settings", "word"),
    [
        ({"name": "x", "type": "no-such-type", "environment": {}}, {}, "no-such-type"),
        (EMU, {"admins": ["no-such-user"]}, "no-such-user"),
        (EMU, {"listen": "127.0.0.1:1", "munge_socket": "/nowhere/m"}, "munge encode failed"),
        (EMU, {"config": "/nowhere/c.json"}, "/nowhere/c.json"),
        (EMU, {"stat": "x"}, "did you mean state?"),
        ({**EMU, "slots": 0}, {}, "resources[0].slots must be a whole number of at least 1"),
    ],
)
def test_check_finds_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    entry: dict[str, Any],
    settings: dict[str, Any],
    word: str,
) -> None:
    """Exit code 1, and a sentence that names it."""
    code, findings = _checked(capsys, _site(tmp_path, entry, **settings))
    assert code == 1
    assert any(f["state"] == "wrong" and word in f["text"] for f in findings), findings


def test_check_finds_readable_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the daemon will."""
    file = _site(tmp_path, _iqm())
    (tmp_path / "qrmi_config.json").chmod(0o644)
    code, findings = _checked(capsys, file)
    assert code == 1
    assert any("chmod 600" in f["text"] for f in findings)


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the line that installs them."""
    monkeypatch.setattr(site_check, "_PACKAGES", ("no_such_package_here",))
    code, findings = _checked(capsys, _site(tmp_path, EMU))
    assert code == 1
    assert "pip install 'openqrmi[site]'" in findings[0]["text"]


@pytest.mark.parametrize("package", ["aiohttp", "prometheus_client"])
def test_without_a_package(tmp_path: Path, package: str) -> None:
    """`serve` says what to install; no traceback."""
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('it is not there', name={package!r})"
    )
    done = subprocess.run(
        [sys.executable, "-m", "qrmi", "site", "serve", "--config", str(_site(tmp_path, EMU))],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'openqrmi[site]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It starts this installation's command with this file, as that user, and is hardened."""
    file = _site(tmp_path, EMU)
    assert main(["site", "unit", "--config", str(file), "--user", "slurm"]) == 0
    unit = capsys.readouterr().out
    assert f"site serve --config {file}\n" in unit
    assert "User=slurm\n" in unit
    assert "Type=notify\n" in unit
    assert f"ReadWritePaths={tmp_path / 's'} {tmp_path}\n" in unit
    assert "@" not in unit
    for word in ("NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=qrmid"):
        assert f"{word}\n" in unit
    usual = site_unit.unit_text(Path("/etc/qrmi/qrmid.toml"), SiteSettings(), user="root")
    assert "ReadWritePaths" not in usual


@pytest.mark.parametrize(
    "action",
    ["serve", "status", "leases", "end", "drain", "resume", "usage", "check", "unit"],
)
def test_every_command_explains_itself(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence and all of its options."""
    assert main(["site", action, "--help"]) == 0
    out = capsys.readouterr().out
    assert "--config" in out
    assert len(out.splitlines()) > 5
