"""A model on disk: read it, hash it, write it atomically and streamed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import onnx
import onnx_ir as ir

from vampnet_models.errors import InputError, reason_of
from vampnet_models.onnxfile.graph_check import check_graph, open_shapes
from vampnet_models.onnxfile.header import check_header
from vampnet_models.onnxfile.normal_form import to_normal_form
from vampnet_models.onnxfile.wire import skeleton
from vampnet_models.progress import Progress
from vampnet_models.scratch import locked_folder
from vampnet_models.spec import ModelSpec, Role, spec_of

EXTERNAL_FROM_BYTES = 64 * 1024 * 1024
"""Weights of this size and more go to `NAME.onnx.data` beside the model, tensor by tensor."""

_WRITERS = 2
"""Threads that convert and write tensors, each at its own place in the file."""

_IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""Converted tensors that wait for the disk; a larger one goes alone."""

_HASHED_BYTES = 1 << 20
"""Read at a time to be hashed: small enough to stay in a core's cache."""


@dataclass(frozen=True)
class Artifact:
    """A model file with its external data; `bytes` and `sha256` cover all of its files."""

    path: Path
    spec: ModelSpec
    files: tuple[Path, ...]
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.path.stem

    @property
    def role(self) -> Role:
        """The role that the interface was recognised as."""
        return self.spec.role


def check_file(path: Path) -> None:
    """Raise InputError as `load_model` does, before any library has read the file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the path of an .onnx model in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of an .onnx model")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; export or copy the model again")
    try:
        check_header(path)
    except ValueError as error:
        raise _unreadable(path, error) from error


def load_model(path: Path) -> ir.Model:
    """Read a model; external weights stay on disk, memory-mapped.

    The file is checked by `check_header` before any library reads it. A dimension of a value below
    0 is read as unknown, as the runtime does.

    Raises InputError when the file is missing, is no ONNX model, is truncated, declares what it
    does not hold, or when its external data is missing, too short, a link or outside its folder.
    """
    check_file(path)
    try:
        model = _read(path)
    except Exception as error:
        # protobuf, UnicodeDecodeError, ValueError: whatever the bytes provoke means the same.
        raise _unreadable(path, error) from error
    if not model.graph.outputs:
        raise InputError(f"{path}: not an ONNX model: it has no outputs; export it again")
    return model


def _unreadable(path: Path, error: Exception) -> InputError:
    # onnx_ir wraps what it met once for each message around it.
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    reason = reason_of(error, 160)
    return InputError(
        f"{path}: not a readable ONNX model ({reason}); truncated, damaged, or of another format"
    )


def _read(path: Path) -> ir.Model:
    """The model; a large file's weights stay in it, memory-mapped."""
    is_large = path.stat().st_size >= EXTERNAL_FROM_BYTES
    proto = onnx.ModelProto.FromString(skeleton(path) if is_large else path.read_bytes())
    to_normal_form(proto)
    model: ir.Model = ir.from_proto(proto)
    ir.external_data.set_base_dir(model.graph, path.parent)
    check_graph(model)
    open_shapes(model)
    return model


def open_artifact(path: Path) -> Artifact:
    """Describe the model at `path`. Raises InputError as `load_model` does."""
    model = load_model(path)
    files = model_files(path, model)
    try:
        spec = spec_of(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Artifact(
        path=path,
        spec=spec,
        files=files,
        bytes=sum(f.stat().st_size for f in files),
        sha256=sha256_of(files),
    )


def model_files(path: Path, model: ir.Model) -> tuple[Path, ...]:
    """The files of a model that was read from `path`: itself, then its external data."""
    beside = sorted(_external_files(model) - {path.name})
    return (path, *(path.parent / location for location in beside))


def find_models(folder: Path) -> list[Path]:
    """The .onnx files of a folder, by name. Raises InputError when there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder that holds .onnx models")
    if not (found := sorted(p for p in folder.glob("*.onnx") if p.is_file())):
        in_bundle = any(folder.glob("models/*.onnx"))
        there = folder / "models" if in_bundle else "a folder that holds .onnx models"
        raise InputError(f"{folder}: holds no .onnx file; give {there}")
    return found


def save_model(
    model: ir.Model,
    path: Path,
    *,
    external: bool | None = None,
    progress: Progress | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a model so that a reader sees the old one or the new one, never half of it.

    Weights are fetched a tensor at a time by each of `_WRITERS` threads. `external` forces or
    forbids a data file beside the model; by default `EXTERNAL_FROM_BYTES` decides. `check` sees
    the written file before it gets its name, and keeps it from that by raising. Raises InputError
    when the folder cannot be written or the disk is full.
    """
    if external is None:
        external = weights_bytes(model) >= EXTERNAL_FROM_BYTES
    check_output(path)
    owned = owned_data(path)
    data_name = _free_data_name(path, owned)
    _hold_attributes(model)
    with staging_beside(path) as staging, written(path):
        staged = staging / path.name
        if external:
            ir.save(
                model,
                staged,
                external_data=data_name,
                size_threshold_bytes=1024,
                max_workers=_WRITERS,
                max_in_flight_bytes=_IN_FLIGHT_BYTES,
                callback=None if progress is None else _callback(progress),
            )
        else:
            # What was external in the source would still name the source's data file.
            ir.save(ir.external_data.load_to_model(model), staged)
        if check is not None:
            check(staged)
        _publish(staging, path, owned)


def copy_model(source: Artifact, folder: Path) -> Path:
    """Copy a model with its data under their own names; atomic, and raises as `save_model` does.

    A file of another model is not replaced: InputError.
    """
    path = folder / source.path.name
    check_output(path)
    owned = owned_data(path)
    names = [file.relative_to(source.path.parent) for file in source.files]
    for file, name in zip(source.files[1:], names[1:], strict=True):
        target = folder / name
        if target.exists() and target not in owned and not target.samefile(file):
            raise InputError(f"{target}: belongs to another model; choose another output folder")
    with staging_beside(path) as staging, written(path):
        for file, name in zip(source.files, names, strict=True):
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, staging / name)
        _publish(staging, path, owned)
    return path


@contextmanager
def staging_beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside an output, on the same disk, removed at the end.

    What a killed process left of the same output goes first. Folders that are made for the output
    go again where nothing was written. Raises InputError when it cannot be made.
    """
    made = [each for each in out.parents if not each.exists()]
    try:
        with ExitStack() as stack:
            with written(out):
                out.parent.mkdir(parents=True, exist_ok=True)
                folder = locked_folder(out.parent, f".{out.name}.vampbench-")
                staging = stack.enter_context(folder)
            yield staging
    finally:
        # What is not empty cannot be removed so.
        with suppress(OSError):
            for each in made:
                each.rmdir()


@contextmanager
def written(out: Path) -> Iterator[None]:
    """What fails here for the disk's sake is an InputError about this output."""
    try:
        yield
    except OSError as error:
        raise cannot_write(out, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The user's line for an output that could not be written."""
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file lies where its folder should be"
    return InputError(f"{path}: cannot write it: {reason}; choose another output or free space")


def check_output(path: Path, *inputs: Path) -> None:
    """Raise InputError where no file can be written at `path`, before any work is done for it.

    A folder or a device is there, one of the `inputs`, a file in the place of its folder, or a
    folder that may not be written to.
    """
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"{path}: is {what}; name a file to write")
    # Path.resolve() raises where links lead in a circle.
    if os.path.realpath(path) in [os.path.realpath(each) for each in inputs]:
        raise InputError(f"{path}: is the input itself; choose another output")
    _check_above(path, path.absolute().parents)


def check_folder(path: Path) -> None:
    """Raise InputError where no folder can be made or filled at `path`, before any work is done."""
    _check_above(path, (path.absolute(), *path.absolute().parents))


def _check_above(path: Path, folders: Sequence[Path]) -> None:
    """The first of these that is there must be a folder that may be written to."""
    above = next((each for each in folders if os.path.lexists(each)), Path("/"))
    if not above.is_dir():
        raise cannot_write(path, NotADirectoryError())
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path}: {above} may not be written to; choose another output")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path to write, which takes the place of `path` once all is written.

    A reader sees the old file or the new one. Raises InputError as `save_model` does, and for
    whatever OSError the writing raises.
    """
    check_output(path)
    with staging_beside(path) as staging, written(path):
        staged = staging / path.name
        yield staged
        staged.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file beside and rename it. Raises InputError as `save_model` does."""
    with beside(path) as staged:
        staged.write_text(text, encoding="utf-8")


def weights_bytes(model: ir.Model) -> int:
    """The size of all initializers, those of bodies too, without reading them."""
    values = (v for graph in model.graphs() for v in graph.initializers.values())
    return sum(v.const_value.nbytes for v in values if v.const_value is not None)


def sha256_of(files: tuple[Path, ...]) -> str:
    """One hash over the contents of these files, in this order."""
    digest = hashlib.sha256()
    buffer = bytearray(_HASHED_BYTES)
    view = memoryview(buffer)
    for path in files:
        with path.open("rb", buffering=0) as stream:
            while n_bytes := stream.readinto(buffer):
                digest.update(view[:n_bytes])
    return digest.hexdigest()


def _external_files(model: ir.Model) -> set[str]:
    """The locations of all tensors outside the file: of every graph, and of attributes."""
    return {str(each.location) for each in _tensors(model) if isinstance(each, ir.ExternalTensor)}


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.is_ref() or attribute.value is None:
                    continue
                if attribute.type is ir.AttributeType.TENSOR:
                    yield attribute.as_tensor()
                elif attribute.type is ir.AttributeType.TENSORS:
                    yield from attribute.as_tensors()


def _hold_attributes(model: ir.Model) -> None:
    """Take the external data of attributes into memory: writers move that of initializers only."""
    for node in model.graph.all_nodes():
        for name, attribute in list(node.attributes.items()):
            if attribute.is_ref() or attribute.type is not ir.AttributeType.TENSOR:
                continue
            tensor = attribute.as_tensor()
            if isinstance(tensor, ir.ExternalTensor):
                held = ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
                node.attributes[name] = ir.AttrTensor(name, held)


def _publish(staging: Path, path: Path, owned: frozenset[Path]) -> None:
    """Move the staged files into place; the model goes last, since it names its data.

    `owned` are the data files of the model that was at `path`: those that are not replaced go.
    """
    model = staging / path.name
    data = {
        path.parent / each.relative_to(staging): each
        for each in staging.rglob("*")
        if each.is_file() and each != model
    }
    if data:
        path.unlink(missing_ok=True)
    for target, staged in data.items():
        staged.chmod(0o644)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
    model.chmod(0o644)
    model.replace(path)
    for stale in owned - data.keys():
        stale.unlink(missing_ok=True)


def owned_data(path: Path) -> frozenset[Path]:
    """The data files that we wrote for the model at `path`, and that it names; others stay."""
    try:
        named = _external_files(load_model(path))
    except InputError:
        # No model, or none that can be read: it owns nothing.
        return frozenset()
    ours = re.compile(re.escape(path.name) + r"(\.\d+)?\.data")
    return frozenset(path.with_name(name) for name in named if ours.fullmatch(name))


def _free_data_name(path: Path, owned: frozenset[Path]) -> str:
    """`NAME.onnx.data`, or `NAME.onnx.2.data`, ... where another file has that name."""
    names = chain([f"{path.name}.data"], (f"{path.name}.{n}.data" for n in count(2)))
    return next(
        name
        for name in names
        if path.with_name(name) in owned or not os.path.lexists(path.with_name(name))
    )


def _callback(
    progress: Progress,
) -> Callable[[ir.TensorProtocol, ir.external_data.CallbackInfo], None]:
    started = count(1)
    # Threads take the tensors in any order.
    return lambda _tensor, info: progress(next(started), info.total)
