"""A `.pth` file -> its kind, its constructor arguments and its tensors, with nothing executed.

Three forms of zip are read: a `state_dict` with metadata (the original project's), a
`torch.package` archive of the module object, and a PyTorch Lightning checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vampnet_models.checkpoint_calls import CALLS, is_foreign, is_namespace
from vampnet_models.checkpoint_pickle import Record, Rules, read_pickle
from vampnet_models.checkpoint_tensors import (
    FLOATS,
    QUANTIZED,
    FileTensors,
    StorageTable,
    StoredTensor,
)
from vampnet_models.checkpoint_zip import RESAVE, Archive, open_archive
from vampnet_models.errors import InputError

Kind = Literal["codec", "transformer", "wavebeat"]
Form = Literal["state_dict", "package", "lightning"]

MAX_PICKLE_BYTES = 16 * 1024 * 1024
MAX_MODULES = 100_000
MAX_DEPTH = 64

MARKS: dict[Kind, tuple[str, ...]] = {
    "codec": ("encoder.block.", "quantizer.quantizers.", "decoder.model."),
    "transformer": ("embedding.", "transformer.layers.", "classifier."),
    "wavebeat": ("blocks.0.conv1.", "blocks.0.res_conv.", "output."),
}
"""Prefixes of parameter names; a checkpoint of a kind has tensors under each of them."""

STEP_COUNTER = ".num_batches_tracked"
"""The one integer tensor that a float checkpoint holds, in batch norms."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; tensors are read from it on demand."""

    path: Path
    form: Form
    kind: Kind
    kwargs: dict[str, object]
    """The constructor arguments that the file names: numbers, texts, lists, None."""
    tensors: FileTensors


def read_checkpoint(path: Path) -> Checkpoint:
    """Describe a checkpoint; no tensor is read.

    Raises InputError for other formats, damaged or forged files, anything that would have to be
    executed, quantized tensors, models of another kind, and missing constructor arguments.
    """
    archive = open_archive(path)
    if "constants.pkl" in archive.entries:
        raise InputError(f"{path}: a TorchScript program, not a checkpoint; {RESAVE}")
    form, tensors, kwargs = _contents(archive)
    for name, tensor in tensors.items():
        if not name.isprintable():
            raise InputError(f"{path}: a tensor is named {name[:80]!r}; the file is damaged")
        if tensor.dtype not in FLOATS and not name.endswith(STEP_COUNTER):
            raise InputError(f"{path}: {name} is {tensor.dtype}: {QUANTIZED}")
    kind = _kind(path, tuple(tensors))
    if kwargs is None:
        raise InputError(
            f"{path}: names no constructor arguments (metadata.kwargs, or hyper_parameters of "
            "Lightning), so its architecture is unknown; save it with the project that trained it"
        )
    big_endian = _is_big_endian(archive)
    return Checkpoint(path, form, kind, kwargs, FileTensors(path, big_endian, tensors))


Contents = tuple[Form, dict[str, StoredTensor], dict[str, object] | None]


def _contents(archive: Archive) -> Contents:
    if "data.pkl" in archive.entries:
        return _saved_contents(archive)
    if any(name.startswith(".data/") for name in archive.entries):
        return _package_contents(archive)
    raise InputError(
        f"{archive.path}: a zip without data.pkl: not a PyTorch checkpoint; give the .pth file"
    )


def _saved_contents(archive: Archive) -> Contents:
    """A file of `torch.save`: a state_dict, bare or beside metadata or hyper_parameters."""
    table = StorageTable(archive, "data/{}")
    rules = Rules(CALLS, is_namespace, table.resolve)
    root = _unpickle(archive, "data.pkl", rules)
    if not isinstance(root, dict):
        kind = f"a {root.cls}" if isinstance(root, Record) else f"a {type(root).__name__}"
        raise InputError(f"{archive.path}: holds {kind} instead of a state_dict; {RESAVE}")
    state = root.get("state_dict", root)
    if not isinstance(state, dict):
        raise InputError(f"{archive.path}: its state_dict is no dictionary; {RESAVE}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise InputError(f"{archive.path}: state_dict[{name!r}] is no tensor; {RESAVE}")
    parameters = root.get("hyper_parameters", root.get("hparams"))
    if parameters is not None:
        return "lightning", state, _plain(parameters)
    return "state_dict", state, _kwargs_of(root.get("metadata"))


def _package_contents(archive: Archive) -> Contents:
    """A `torch.package` archive: `<Class>/<Class>.pth` pickles the module object itself."""
    table = StorageTable(archive, ".data/{}.storage")
    rules = Rules(CALLS, is_foreign, table.resolve)
    named = [n for n in archive.entries if n.endswith(".pth") and _is_doubled(n)]
    if len(named) != 1:
        raise InputError(
            f"{archive.path}: a torch.package archive with {len(named)} models "
            "(<Class>/<Class>.pth), one is needed; export the model alone"
        )
    module = _unpickle(archive, named[0], rules)
    if not isinstance(module, Record):
        raise InputError(f"{archive.path}: {named[0]} holds no module; export the model itself")
    metadata_name = named[0].removesuffix(".pth") + ".metadata"
    metadata: object = module.attributes().get("metadata")
    if metadata_name in archive.entries:
        metadata = _unpickle(archive, metadata_name, rules)
    return "package", _state_dict(archive.path, module), _kwargs_of(metadata)


def _unpickle(archive: Archive, name: str, rules: Rules) -> object:
    data = archive.read(name, MAX_PICKLE_BYTES)
    return read_pickle(data, f"{archive.path}: {name}", rules)


def _state_dict(path: Path, root: Record) -> dict[str, StoredTensor]:
    """The tensors of a module tree under the names that torch gives them."""
    tensors: dict[str, StoredTensor] = {}
    pending: list[tuple[str, Record, int]] = [("", root, 0)]
    visited = 0
    while pending:
        prefix, module, depth = pending.pop()
        visited += 1
        if visited > MAX_MODULES or depth > MAX_DEPTH:
            raise InputError(f"{path}: its modules are nested without end; refused")
        attributes = module.attributes()
        passing = attributes.get("_non_persistent_buffers_set", ())
        for group in ("_parameters", "_buffers"):
            for name, tensor in _members(attributes, group):
                if isinstance(tensor, StoredTensor) and not _is_in(name, passing):
                    tensors[prefix + name] = tensor
        children = [
            (f"{prefix}{name}.", child, depth + 1)
            for name, child in _members(attributes, "_modules")
            if isinstance(child, Record)
        ]
        pending.extend(reversed(children))
    return tensors


def _members(attributes: Mapping[object, object], group: str) -> Iterator[tuple[str, object]]:
    members = attributes.get(group)
    if isinstance(members, dict):
        yield from ((name, value) for name, value in members.items() if isinstance(name, str))


def _is_in(name: str, names: object) -> bool:
    return isinstance(names, list) and any(isinstance(n, str) and n == name for n in names)


def _kind(path: Path, names: tuple[str, ...]) -> Kind:
    for kind, prefixes in MARKS.items():
        if all(any(name.startswith(prefix) for name in names) for prefix in prefixes):
            return kind
    known = ", ".join(names[:3]) or "no tensors"
    raise InputError(
        f"{path}: neither a codec nor a transformer nor a wavebeat checkpoint (it holds {known}"
        f"{', ...' if len(names) > 3 else ''}); give codec.pth, coarse.pth, c2f.pth or wavebeat.pth"
    )


def _kwargs_of(metadata: object) -> dict[str, object] | None:
    if isinstance(metadata, dict) and isinstance(metadata.get("kwargs"), dict):
        return _plain(metadata["kwargs"])
    return None


def _plain(values: object) -> dict[str, object]:
    """The plain entries of a dictionary or of a record's attributes and items."""
    if isinstance(values, Record):
        values = {**values.attributes(), **values.items}
    if not isinstance(values, dict):
        return {}
    return {name: value for name, value in values.items() if _is_plain(name, value)}


def _is_plain(name: object, value: object) -> bool:
    if isinstance(value, list | tuple):
        return isinstance(name, str) and all(isinstance(v, str | int | float | None) for v in value)
    return isinstance(name, str) and isinstance(value, str | int | float | None)


def _is_doubled(name: str) -> bool:
    """Whether it is `<Class>/<Class>.pth`."""
    folder, _, file = name.partition("/")
    return file == f"{folder}.pth"


def _is_big_endian(archive: Archive) -> bool:
    if "byteorder" not in archive.entries:
        return False
    order = archive.read("byteorder", 16)
    if order not in (b"little", b"big"):
        raise InputError(f"{archive.path}: unknown byte order {order!r}; {RESAVE}")
    return order == b"big"
