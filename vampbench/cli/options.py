"""Options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from vampbench.api.bounds import (
    FEWEST_ROUNDS,
    LEAST_CLIP_S,
    MOST_CLIP_S,
    MOST_ROUNDS,
    MOST_STEPS,
    check_threads,
)
from vampnet_models.errors import InputError
from vampnet_models.family import MAX_RATE_HZ, MIN_RATE_HZ
from vampnet_models.records.results import GradeName

_DEFAULT_INTERPRETER = Path(".venv-inc/bin/python")

_FC = TypeVar("_FC", bound=Callable[..., Any] | click.Command)

STEPS = click.IntRange(1, MOST_STEPS)
"""How often something is done: more than anybody waits for is refused instead of begun."""


class _GivenPath(click.Path):
    """A path that says something: an empty one is a variable that was not set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as given. Fails on an empty text."""
        if value in ("", b""):
            self.fail("it is empty; name a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


class Once(click.Option):
    """An option of one path: given twice, one of the two would be ignored in silence."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser hand over all that was given."""
        parser.add_option(
            obj=self, opts=self.opts, dest=self.name, action="append", nargs=self.nargs
        )

    def consume_value(
        self, ctx: click.Context, opts: Mapping[str, Any]
    ) -> tuple[Any, ParameterSource]:
        """The one that was given. Raises UsageError for a second one."""
        given = opts.get(str(self.name))
        if given is not None and len(given) > 1:
            several = " and ".join(str(each) for each in given)
            raise click.BadParameter(f"given more than once: {several}; give one", ctx, self)
        rest = dict(opts) if given is None else {**opts, str(self.name): given[0]}
        return super().consume_value(ctx, rest)


class Finite(click.FloatRange):
    """A number within bounds, if any, that is one: NaN lies within any."""

    def _describe_range(self) -> str:
        # click writes a range without ends as `x<=None`.
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number. Fails on NaN, infinity and whatever lies outside the bounds."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


PATH = _GivenPath(path_type=Path)

_MOST_BYTES = 2**62
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def as_bytes(
    _context: click.Context | None, _option: click.Parameter | None, value: str | None
) -> int | None:
    """Bytes, as 1.0GB, 850MB or plain; decimal. Raises BadParameter for less than one."""
    if value is None:
        return None
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmg]?b)?\s*", value.lower())
    n_bytes = float(found[1]) * _UNITS[found[2] or ""] if found else 0.0
    if not 1 <= n_bytes < _MOST_BYTES:
        raise click.BadParameter(f"{value!r} is no size; give one like 2GB, 850MB or 900000")
    return round(n_bytes)


max_memory = click.option(
    "--max-memory",
    metavar="SIZE",
    callback=as_bytes,
    help="Calibrate within this much memory, as 2GB; refused where the prediction lies above.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
output = click.option(
    "-o", "--output", "out", cls=Once, type=PATH, required=True, help="Where to write."
)
audio = click.option(
    "--audio", cls=Once, type=PATH, help="Folder of recordings (default: the built-in sample pack)."
)
evaluation_audio = click.option(
    "--evaluation-audio",
    cls=Once,
    type=PATH,
    help="Judge on this folder's recordings; all of --audio then calibrates.",
)
clip_s = click.option(
    "--clip-s",
    type=click.FloatRange(LEAST_CLIP_S, MOST_CLIP_S),
    metavar="SECONDS",
    help="Most seconds of a clip (default: 5 of recordings, 3 of the built-in pack, which has 6).",
)
upstream = click.option(
    "--upstream",
    type=PATH,
    multiple=True,
    help="Variant whose output this model is calibrated on, in place of the one beside it; its "
    "role tells its stage. May be given several times.",
)


def _cores(_context: click.Context, _option: click.Parameter, value: int) -> int:
    """Threads that this process has cores for."""
    try:
        check_threads(value)
    except InputError as error:
        raise click.BadParameter(str(error)) from error
    return value


threads = click.option(
    "--threads",
    type=click.IntRange(0),
    default=0,
    callback=_cores,
    help="Threads; 0 takes all cores.",
)
feeds = click.option(
    "--feeds",
    cls=Once,
    type=PATH,
    help="Feed a model with inputs of your own in place of --audio: FILE.npz with arrays under the "
    "inputs' names (of several samples NAME/0, NAME/1, ...), a folder of such files, or for each "
    "model MODEL.npz or a folder MODEL. `vampbench feeds` writes a template.",
)
evaluation_feeds = click.option(
    "--evaluation-feeds",
    cls=Once,
    type=PATH,
    help="Judge on these inputs, given as --feeds are; all of --feeds then calibrates, not half.",
)
sample_rate = click.option(
    "--sample-rate",
    "sample_rate_hz",
    type=click.IntRange(MIN_RATE_HZ, MAX_RATE_HZ),
    metavar="HZ",
    help="Sample rate of a codec of which its file does not tell it.",
)
tables = click.option(
    "--tables", is_flag=True, help="Embedding tables too, in 8 bits: smaller, less exact."
)
backend = click.option(
    "--backend",
    type=click.Choice(["workbench", "neural-compressor"]),
    default="workbench",
    show_default=True,
    help="Who quantizes; neural-compressor runs apart, in the environment of `make env-inc`.",
)
inc_python = click.option(
    "--inc-python",
    cls=Once,
    type=PATH,
    envvar="VAMPBENCH_INC_PYTHON",
    default=_DEFAULT_INTERPRETER,
    show_default=True,
    help="The interpreter that has neural-compressor; also VAMPBENCH_INC_PYTHON.",
)
grade = click.option(
    "--grade",
    type=click.Choice(get_args(GradeName)),
    help="What a set may cost at most (harmless, without another bound); docs/method.md.",
)
min_agreement = click.option(
    "--min-agreement",
    type=Finite(0, 1),
    help="Least token agreement, a share.",
)
min_sampled = click.option(
    "--min-sampled",
    type=Finite(0, 1),
    help="Least sampled agreement of a transformer (lower end), a share.",
)
max_cost = click.option(
    "--max-cost",
    type=Finite(0),
    metavar="NATS",
    help="Most cost of a transformer (upper end), nats per token.",
)
max_cost_db = click.option(
    "--max-cost-db",
    type=Finite(0),
    metavar="DB",
    help="Most cost of encoder or decoder (upper end), dB log-mel.",
)


class _Renamed(click.Option):
    """`--target`, which was `--targets` once: that is still taken, and told nowhere."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser take both."""
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=["--targets"], dest=self.name, action="store", nargs=1)


def targets(default: str, words: str) -> Callable[[_FC], _FC]:
    """`--target`, where one or several of `words` may be measured or estimated."""
    return click.option(
        "--target",
        "targets",
        cls=_Renamed,
        metavar="NAMES",
        default=default,
        show_default=True,
        help=f"Comma-separated of {words}; cpu:N measures with N threads.",
    )


def rounds(default: int) -> Callable[[_FC], _FC]:
    """`--rounds`, with as many as the command does by itself."""
    return click.option(
        "--rounds",
        type=click.IntRange(FEWEST_ROUNDS, MOST_ROUNDS),
        default=default,
        show_default=True,
        help="Timed runs each, at most: 7 do where every ratio to FP32 is known to 2 % then.",
    )


operators = click.option(
    "--operators",
    is_flag=True,
    help="Also time each operator against this machine's measured peaks, and cold starts (CPU).",
)


def decided_by(command: _FC) -> _FC:
    """The options of what is decided: the bounds replace the grade, unless that is named too."""
    for option in (max_cost_db, max_cost, min_sampled, min_agreement, grade):
        command = option(command)
    return command
