"""The commands by section; one that runs imports no other's tools."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping

import click

from vampbench.cli.console import QUIET

_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Everything at once", ("demo", "run", "overview", "report")),
    ("Models and audio", ("inspect", "import", "synth", "samples")),
    (
        "Convert",
        ("fuse", "fp16", "int8", "weights", "npu", "native", "make-static", "make-dynamic"),
    ),
    ("Judge", ("verify", "swap", "profile", "qnn", "import-profile", "tune")),
    ("Ship", ("bundle", "check")),
    ("Listen", ("vamp", "compare")),
)

_PLACES = {
    "demo": "ship.run:demo",
    "run": "ship.run:run",
    "overview": "ship.overview:overview",
    "report": "ship.report:report",
    "inspect": "models.inspect:inspect",
    "import": "models.import_checkpoints:import_checkpoints",
    "synth": "models.synth:synth",
    "samples": "models.samples:samples",
    "fuse": "convert.convert:fuse",
    "fp16": "convert.fp16:fp16",
    "int8": "convert.int8:int8",
    "weights": "convert.weights:weights",
    "npu": "convert.convert:npu",
    "native": "convert.native:native",
    "make-static": "convert.make_static:make_static",
    "make-dynamic": "convert.make_dynamic:make_dynamic",
    "verify": "judge.verify:verify",
    "swap": "judge.swap:swap",
    "profile": "judge.profile:profile",
    "qnn": "judge.qnn:qnn",
    "import-profile": "models.import_profile:import_profile",
    "tune": "ship.tune:tune",
    "bundle": "ship.bundle:bundle",
    "check": "ship.bundle:check",
    "vamp": "judge.vamp:vamp_command",
    "compare": "judge.compare:compare",
}
"""Where a command lies, below this package."""


class _OnDemand(MutableMapping[str, click.Command]):
    """Commands by name. Names are known at once, a command is imported at its first use."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._found: dict[str, click.Command | str] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            command.params.append(quiet())
            found = self._found[name] = command
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class InSections(click.Group):
    """A group whose help lists the commands in the order in which they are used."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section, each command with its whole first sentence."""
        for title, names in _SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(n, self.commands[n].get_short_help_str(90)) for n in names])


def all_commands() -> _OnDemand:
    """Every command of every section."""
    return _OnDemand(
        {name: f"vampbench.cli.{_PLACES[name]}" for _, names in _SECTIONS for name in names}
    )


def quiet() -> click.Option:
    """`--quiet`, which stands before a command's name or behind it."""
    return click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_hush,
        help="No progress on stderr: warnings and errors alone.",
    )


def _hush(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.meta[QUIET] = True
