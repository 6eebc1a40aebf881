"""The only place that opens an ONNX Runtime session."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vampnet_models.errors import InputError, reason_of
from vampnet_models.native.library import HOW, built_library, how
from vampnet_models.onnxfile.exact import exact_session, is_exact
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN
from vampnet_models.text import is_text, visible

Array = NDArray[Any]
Feeds = dict[str, Array]
GraphOptimization = Literal["all", "extended", "basic", "disabled"]

_LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
CPU = ("CPUExecutionProvider",)

FATAL = 4
"""What the runtime may log: its errors come as exceptions, and we say them in our own words."""

ort.set_default_logger_severity(FATAL)


class Session:
    """An open model: `run(feeds)` gives every output by name. `name` is what errors call it.

    `at_a_time` says how many runs shall go on at once, as `side_by_side` decides.
    """

    def __init__(self, raw: ort.InferenceSession, name: str) -> None:
        self.raw = raw
        self.name = name
        self.at_a_time = 1
        self.input_names: tuple[str, ...] = tuple(i.name for i in raw.get_inputs())
        self.output_names: tuple[str, ...] = tuple(o.name for o in raw.get_outputs())

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> Feeds:
        """Run once; `outputs` limits what is fetched (all by default).

        The tensors of a sequence `s` are `s[0]`, `s[1]` and so on; an optional that is empty gives
        nothing. Raises InputError when the runtime refuses the feeds, or answers with something
        that holds no tensors.
        """
        names = list(outputs) if outputs is not None else list(self.output_names)
        try:
            values = self.raw.run(names, dict(feeds))
        except Exception as error:
            # The binding raises a different class per status code, all plain Exceptions.
            shapes = ", ".join(f"{n} {list(np.shape(v))}" for n, v in feeds.items())
            on = shapes or "no inputs"
            raise InputError(f"{self.name} does not run on {on}: {reason_of(error)}") from error
        found: Feeds = {}
        for name, value in zip(names, values, strict=True):
            _take_in(found, name, value)
        return found


def _take_in(found: Feeds, name: str, value: object) -> None:
    """Add what the binding gives for an output: a tensor, a sequence, a map, or nothing."""
    if value is None:
        return
    if isinstance(value, list):
        for index, each in enumerate(value):
            _take_in(found, f"{name}[{index}]", each)
    elif isinstance(value, dict):
        keys = sorted(value)
        found[f"{name}.keys"], found[name] = np.array(keys), np.array([value[k] for k in keys])
    elif isinstance(value, np.ndarray | np.generic):
        found[name] = np.asarray(value)
    else:
        raise InputError(f"output {name} is a {type(value).__name__}, which cannot be compared")


def open_session(
    model: Path | bytes,
    *,
    providers: Sequence[str] = CPU,
    threads: int = 0,
    graph_optimization: GraphOptimization = "all",
    profile_prefix: Path | None = None,
    optimized_path: Path | None = None,
    config: Mapping[str, str] | None = None,
    in_graph_order: bool = False,
    portable_instead: bool = True,
    is_checked: bool = False,
) -> Session:
    """Open `model` on exactly these providers.

    `threads` is the number of intra-op threads, 0 leaves the choice to the runtime.
    `profile_prefix` makes the runtime write its operator profile, `optimized_path` its own
    optimized graph. `config` holds session configuration entries. `in_graph_order` runs nodes as
    the graph lists them, not depth first from its outputs.

    A model with operators of the optional library gets it; where that was not built, the portable
    model that it names is opened and a line on the standard error says so, unless not
    `portable_instead`: what measures or describes a model must not take another for it.
    `is_checked` says that the file has gone through `check_file` already.

    Raises InputError when the file cannot be loaded or a provider is missing or fell back.
    """
    absent = [p for p in providers if p not in ort.get_available_providers()]
    if absent:
        raise InputError(
            f"{', '.join(absent)}: not in this onnxruntime ({ort.__version__} has "
            f"{', '.join(ort.get_available_providers())}); install the build for that provider"
        )
    if isinstance(model, Path) and model.suffix != ".ort" and not is_checked:
        _check(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = _LEVELS[graph_optimization]
    options.log_severity_level = FATAL
    if in_graph_order:
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
    # What is written for others to load must not depend on this processor.
    asked = exact_session() if optimized_path is None and is_exact(model) else {}
    for key, value in {**asked, **(config or {})}.items():
        options.add_session_config_entry(key, value)
    where = model if isinstance(model, bytes) else str(model)
    if isinstance(where, str) and not is_text(where):
        raise InputError(f"{where}: its path is no UTF-8 text, as the runtime wants it; rename it")
    try:
        raw = _opened(where, options, providers, portable_instead)
    except InputError:
        raise
    except Exception as error:
        # The binding raises a different class per status code, all plain Exceptions.
        raise _cannot_load("model" if isinstance(model, bytes) else str(model), error) from error
    if raw.get_providers()[0] != providers[0]:
        raise InputError(
            f"{where if isinstance(where, str) else 'model'}: {providers[0]} fell back to "
            f"{raw.get_providers()[0]}; check its driver and libraries"
        )
    return Session(raw, "the model" if isinstance(model, bytes) else model.name)


def _check(model: Path) -> None:
    # What reads models takes half a second to load: a process that is timed does without.
    from vampnet_models.onnxfile.artifact import check_file

    check_file(model)


def _opened(
    where: str | bytes,
    options: ort.SessionOptions,
    providers: Sequence[str],
    portable_instead: bool,
) -> ort.InferenceSession:
    """The session; with the operator library, or of the portable model, where that is needed."""
    try:
        return ort.InferenceSession(where, options, providers=list(providers))
    except Exception as error:
        # The binding raises a different class per status code, all plain Exceptions.
        if f"{NATIVE_DOMAIN}:" not in str(error):
            raise
    library = built_library()
    if library is not None:
        try:
            options.register_custom_ops_library(str(library))
        except Exception as error:
            raise InputError(
                f"{library}: is no operator library that loads here; delete it, then {HOW}"
            ) from error
        try:
            return ort.InferenceSession(where, options, providers=list(providers))
        except Exception as error:
            if f"{NATIVE_DOMAIN}:" not in str(error):
                raise
    # What was made by a newer version has operators that no library of this one knows.
    remedy = (
        how() if library is None else "the one here lacks an operator: update vampnet-workbench"
    )
    name = "model" if isinstance(where, bytes) else where
    if not portable_instead:
        raise InputError(f"{name}: the operator library that it needs is not here; {remedy}")
    if isinstance(where, bytes):
        raise InputError(f"{name}: needs the operator library; {remedy}")
    # Here, as in `_check`, for the process that is only timed.
    from vampnet_models.onnxfile.portable import portable_of

    portable = portable_of(Path(where))
    line = f"{name}: without the operator library ({remedy}): {portable.name} is opened"
    sys.stderr.write(f"{visible(line)}\n")
    try:
        return ort.InferenceSession(str(portable), options, providers=list(providers))
    except Exception as error:
        raise _cannot_load(str(portable), error) from error


def _cannot_load(name: str, error: Exception) -> InputError:
    return InputError(f"{name}: ONNX Runtime cannot load it: {reason_of(error)}")
