"""What is wrong with an installation that should lend QPUs through Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qrmi.config_file import Config
from qrmi.diagnosis.findings import Finding, Verdict, of_error
from qrmi.errors import QrmiError
from qrmi.schedulers.slurm.setup import check_files, check_slurm
from qrmi.schedulers.slurm.setup.plan import Plan, qpus_of
from qrmi.schedulers.slurm.setup.slurm_conf import SlurmConf, read
from qrmi.secrecy import privacy
from qrmi.site.client import SiteClient
from qrmi.site.settings import SiteSettings
from qrmi.site.slurm.commands import SlurmCommands, program_path

__all__ = ["check"]

_USUAL_CONF = Path("/etc/slurm/slurm.conf")
_ANSWER_SECONDS = 10.0


def check(settings_file: Path, conf: Path | None = None) -> list[Finding]:
    """Look at the site's settings, the daemon, Slurm and the files of a setup; changes nothing.

    Args:
        settings_file: `qrmid.toml`.
        conf: slurm.conf; ``None`` for the one that the settings, or Slurm, name.
    """
    try:
        settings = SiteSettings.load(settings_file)
    except QrmiError as error:
        return [of_error("site", "qrmid.toml", error)]
    found = [Finding(subject="site", check="qrmid.toml", text=str(settings_file))]
    configuration, about_it = _configuration(settings)
    found += about_it
    found += _daemon(settings)
    if configuration is None:
        return found
    commands = SlurmCommands(
        scontrol=settings.slurm.scontrol, conf=str(conf or settings.slurm.conf)
    )
    live, about_it = check_slurm.running(commands)
    found += about_it
    path = Path(str(conf or settings.slurm.conf) or live.get("SLURM_CONF") or _USUAL_CONF)
    try:
        plan = _plan(settings, configuration, path.absolute(), live)
    except QrmiError as error:
        return [*found, of_error("site", "resources", error)]
    if live.values:
        found += check_slurm.findings(plan, live, commands, settings)
    found += check_files.findings(plan)
    return found


def _configuration(settings: SiteSettings) -> tuple[Config | None, list[Finding]]:
    path = settings.config
    try:
        configuration, about = Config.read(path)
    except QrmiError as error:
        return None, [of_error("site", "resources", error)]
    wrong = privacy.complaint(path, about, configuration)
    if wrong:
        finding = Finding(
            subject="site",
            check="resources",
            verdict=Verdict.PROBLEM,
            text=f"{path} {wrong}",
            advice=f"chmod 600 {path}; change the keys in it, which users could read",
        )
        return configuration, [finding]
    names = ", ".join(configuration.resource_map)
    return configuration, [Finding(subject="site", check="resources", text=f"{path}: {names}")]


def _daemon(settings: SiteSettings) -> Iterator[Finding]:
    client = SiteClient(socket_path=settings.socket, answer_seconds=_ANSWER_SECONDS)
    try:
        client.get("/health")
    except QrmiError as error:
        yield Finding(
            subject="site",
            check="qrmid",
            verdict=Verdict.PROBLEM,
            text=error.message,
            advice="start it: `systemctl start qrmid`, or `qrmi site serve`",
        )
    else:
        yield Finding(subject="site", check="qrmid", text=f"answers on {settings.socket}")
    if not settings.slurm.enabled:
        yield Finding(
            subject="site",
            check="slurm",
            verdict=Verdict.PROBLEM,
            text="qrmid does not speak to Slurm",
            advice="in qrmid.toml: [slurm] enabled = true; without it jobs do not wait outside, "
            "and leases of lost jobs stay",
        )


def _plan(settings: SiteSettings, configuration: Config, conf: Path, live: SlurmConf) -> Plan:
    folder = conf.parent
    programs = [Path(each) for key in check_slurm.HOOKS for each in live.items(key)]
    hook = next((each for each in programs if each.name == "qrmi-hook"), folder / "qrmi-hook")
    return Plan(
        qpus=qpus_of(configuration),
        folder=hook.parent,
        conf=conf,
        present=read(conf),
        interpreter=check_files.interpreter_of(hook),
        scontrol=Path(program_path(settings.slurm.scontrol, "scontrol")),
        socket=settings.socket.absolute(),
        url=settings.public_url,
        munge_socket=settings.munge_socket,
        nodes=check_files.nodes_of(hook.parent),
    )
