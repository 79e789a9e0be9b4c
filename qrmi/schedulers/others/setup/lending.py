"""What a setup for PBS, LSF or Flux is made for: the site's QPUs, and how its daemon is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from qrmi.config_file import Config
from qrmi.errors import ConfigError, Owner
from qrmi.schedulers.hook import PYTHON, hook_text
from qrmi.schedulers.others.setup.fragments import Fragment
from qrmi.schedulers.runs import mangled
from qrmi.site.settings import SiteSettings

__all__ = ["Lending"]


@attrs.frozen(kw_only=True)
class Lending:
    """The site, as a setup sees it.

    Attributes:
        slots: how many slots of each resource are lent, by its name.
        cluster: the cluster's name.
        socket: where `qrmid` listens on its own host.
        url: where it listens for other hosts; empty for none.
        munge_socket: where munged listens; empty for its usual place.
        python: the interpreter of the hooks, on every host.
        folder: where the files will be, on every host.
    """

    slots: dict[str, int]
    cluster: str
    socket: str
    url: str = ""
    munge_socket: str = ""
    python: str = PYTHON
    folder: str = "/etc/qrmi"

    @classmethod
    def of(cls, settings: SiteSettings, *, python: str, folder: Path) -> Lending:
        """What `qrmid.toml` and its `qrmi_config.json` say.

        Raises:
            ConfigError: one of them cannot be read; it lists no resource; or two of the names are
                the same once characters that schedulers do not allow are replaced.
        """
        configuration = Config.load(settings.config)
        slots = {each.name: each.slots for each in configuration.resource_map.values()}
        if not slots:
            raise ConfigError(f"{settings.config} lists no resource", owner=Owner.SITE)
        consumables = [mangled(name) for name in slots]
        twice = sorted({each for each in consumables if consumables.count(each) > 1})
        if twice:
            raise ConfigError(
                f"several resources of {settings.config} would be counted as {', '.join(twice)}",
                owner=Owner.SITE,
                hint="rename one: all but letters, digits and _ are taken for _",
            )
        return cls(
            slots=slots,
            cluster=settings.cluster,
            socket=str(settings.socket),
            url=settings.public_url,
            munge_socket=settings.munge_socket,
            python=python,
            folder=str(folder),
        )

    @property
    def consumables(self) -> dict[str, str]:
        """The resources' names by what counts them."""
        return {mangled(name): name for name in self.slots}

    def hook_settings(self, **more: Any) -> dict[str, Any]:
        """What hooks are told. No secret is among it."""
        return {
            "cluster": self.cluster,
            "socket": self.socket,
            "url": self.url,
            "munge_socket": self.munge_socket,
            **more,
        }

    def program(self, name: str, module: str, where: str, environment: dict[str, str]) -> Fragment:
        """A hook as one file.

        Args:
            name: of the file in `folder`.
            module: whose ``main`` it runs.
            where: the hosts that need it.
            environment: the variables that the scheduler's commands need.
        """
        settings = self.hook_settings(environment=environment)
        return Fragment(
            name=name,
            about=f"a program: {self.folder}/{name} on every {where}",
            text=hook_text(module, settings, python=self.python),
            is_program=True,
        )

    def starter(self, name: str, about: str, program: str, word: str) -> Fragment:
        """A program of one line, for a place where a scheduler looks for a certain name.

        Args:
            name: of the file.
            about: where it belongs.
            program: the hook that it starts.
            word: what the hook is told.
        """
        text = f'#!/bin/sh\nexec {self.folder}/{program} {word} "$@"\n'
        return Fragment(name=name, about=f"a program {about}", text=text, is_program=True)
