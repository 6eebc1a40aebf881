"""The commands by section; one that runs imports no other's tools."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping

import click

from workbench.console import QUIET

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
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

PLACES = {
    "demo": "run:demo",
    "import": "import_checkpoints:import_checkpoints",
    "fuse": "convert:fuse",
    "weights": "weights:weights",
    "npu": "convert:npu",
    "verify": "check:verify",
    "check": "bundle:check",
    "vamp": "vamp:vamp_command",
}
"""Where a command lies; the others in the module, and under the function's name, of their own."""


class OnDemand(MutableMapping[str, click.Command]):
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
        for title, names in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(n, self.commands[n].get_short_help_str(90)) for n in names])


def all_commands() -> OnDemand:
    """Every command of every section."""
    return OnDemand({name: _place(name) for _, names in SECTIONS for name in names})


def _place(name: str) -> str:
    function = name.replace("-", "_")
    return f"workbench.{PLACES.get(name, f'{function}:{function}')}"


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
