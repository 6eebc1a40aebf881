"""The commands by section; one that runs imports no other's tools."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain

import click
from click.shell_completion import CompletionItem

from vampbench.cli.console import QUIET


@dataclass(frozen=True)
class Listed:
    """What is known of a command before it is imported.

    name: how it is called.
    place: `MODULE:ATTRIBUTE` below this package.
    help: the first sentence of its docstring, kept here so that a list of commands imports none.
    """

    name: str
    place: str
    help: str


SECTIONS = {
    "Everything at once": (
        Listed(
            "demo",
            "ship.run:demo",
            "Do the whole job on the built-in models and audio: nothing else is needed.",
        ),
        Listed(
            "run",
            "ship.run:run",
            "Make, verify and profile every variant of the models in MODELS_DIR.",
        ),
        Listed(
            "overview",
            "ship.overview:overview",
            "Summarise a finished run: size, tokens, lengths, storage by use, what to ship where.",
        ),
        Listed(
            "report",
            "ship.report:report",
            "Write the offline HTML report of RESULTS, a results.json or the folder that holds it.",
        ),
    ),
    "Models and audio": (
        Listed(
            "inspect",
            "models.inspect:inspect",
            "Show inputs, outputs, opset, parameters, operators, role and known problems.",
        ),
        Listed(
            "import",
            "models.import_checkpoints:import_checkpoints",
            "Turn CODEC.pth, COARSE.pth and C2F.pth (or a folder of them) into ONNX models.",
        ),
        Listed(
            "synth",
            "models.synth:synth",
            "Write the four models with seeded random weights of realistic statistics.",
        ),
        Listed(
            "feeds",
            "models.feeds:feeds",
            "Write a template of a model's inputs: names, shapes and random values, for --feeds.",
        ),
        Listed(
            "samples",
            "models.samples:samples",
            "Write the built-in sample pack as WAV files: 14 clips that calibrate, 26 that judge.",
        ),
    ),
    "Convert": (
        Listed(
            "fuse",
            "convert.convert:fuse",
            "Fuse the graph in FP32: same tokens, fewer and faster operators.",
        ),
        Listed(
            "fp16",
            "convert.fp16:fp16",
            "Convert weights and arithmetic to FP16; what decides the codes stays in FP32.",
        ),
        Listed(
            "bf16",
            "convert.convert:bf16",
            "Store the weights of products in bfloat16: half the bytes, and nothing overflows.",
        ),
        Listed("int8", "convert.int8:int8", "Quantize weights and activations to INT8."),
        Listed(
            "weights",
            "convert.weights:weights",
            "Quantize the weights alone to INT8 or INT4; activations stay in float.",
        ),
        Listed(
            "npu",
            "convert.convert:npu",
            "Make a variant for Qualcomm's NPU, in operators that its compiler takes.",
        ),
        Listed(
            "native",
            "convert.native:native",
            "Build the operator library that models made with `--native` use.",
        ),
        Listed(
            "make-static",
            "convert.make_static:make_static",
            "Fix a model's length and batch: NNAPI, CoreML and Qualcomm's NPU want fixed shapes.",
        ),
        Listed(
            "make-dynamic",
            "convert.make_dynamic:make_dynamic",
            "Turn a transformer of one fixed length into one of any length, where that is exact.",
        ),
    ),
    "Judge": (
        Listed(
            "verify",
            "judge.verify:verify",
            "Compare VARIANT with REFERENCE on audio that nothing was calibrated on.",
        ),
        Listed(
            "swap",
            "judge.swap:swap",
            "Exchange each stage of the chain in MODELS_DIR by the one in VARIANTS_DIR.",
        ),
        Listed(
            "profile",
            "judge.profile:profile",
            "Profile MODELS, the first being the reference of the ratios.",
        ),
        Listed(
            "qnn",
            "judge.qnn:qnn",
            "Compile VARIANTS for Qualcomm's NPU, without a phone; REFERENCE is their FP32 source.",
        ),
        Listed(
            "import-profile",
            "models.import_profile:import_profile",
            "Import FILES that another tool wrote on a real device.",
        ),
        Listed(
            "tune",
            "ship.tune:tune",
            "Find a precision for each layer of each model: the best set within a budget.",
        ),
    ),
    "Ship": (
        Listed(
            "bundle",
            "ship.bundle:bundle",
            "Make the folder that ships: chosen models, promises, golden answers, a check of "
            "itself.",
        ),
        Listed(
            "check",
            "ship.bundle:check",
            "Verify a bundle again: hashes, then tokens and sound as its manifest promises.",
        ),
    ),
    "Listen": (
        Listed(
            "vamp",
            "judge.vamp:vamp_command",
            "Generate a variation of RECORDING, of the same length.",
        ),
        Listed(
            "compare",
            "judge.compare:compare",
            "Send RECORDING through the codec of every recipe and write each as WAV.",
        ),
    ),
}
"""Every command, under its heading and in the order of `vampbench --help`."""


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
        for title, listed in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(each.name, each.help) for each in listed])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin like `incomplete`."""
        # click's own asks each command for its help, and would import all of them at each Tab.
        names = [each for each in _listed() if each.name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(each.name, help=each.help) for each in names] + options


def _listed() -> Iterator[Listed]:
    return chain.from_iterable(SECTIONS.values())


def all_commands() -> _OnDemand:
    """Every command of every section."""
    return _OnDemand({each.name: f"vampbench.cli.{each.place}" for each in _listed()})


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
