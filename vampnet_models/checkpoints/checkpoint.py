"""A `.pth` file -> its kind, its constructor arguments and its tensors, with nothing executed.

Four forms are read: a `state_dict` with metadata (the original project's), in a zip or as torch
before 1.6 wrote it, a `torch.package` archive of the module object, and a PyTorch Lightning
checkpoint. A file of LoRA tensors alone is read as what it is: it needs a base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from vampnet_models.checkpoints.arguments import plain_values, shown
from vampnet_models.checkpoints.calls import CALLS, is_foreign, is_namespace
from vampnet_models.checkpoints.legacy import read_legacy
from vampnet_models.checkpoints.modules import Lora, read_modules
from vampnet_models.checkpoints.names import layer_of, only_lora, unwrapped
from vampnet_models.checkpoints.pickle_values import Record, Rules, read_pickle
from vampnet_models.checkpoints.stored_tensors import (
    QUANTIZED,
    FileTensors,
    StorageTable,
    StoredTensor,
    plain_numbers,
    require_own_bytes,
)
from vampnet_models.checkpoints.tensors import Tensors
from vampnet_models.checkpoints.zip_entries import RESAVE, Archive, is_zip, open_archive, shortened
from vampnet_models.errors import InputError

_Kind = Literal["codec", "transformer", "wavebeat", "lora"]
_Form = Literal["state_dict", "package", "lightning"]

_MAX_PICKLE_BYTES = 16 * 1024 * 1024
_MAX_LEFT_OUT = 3
"""How many entries that are no tensors a note names before it counts the rest."""

_MARKS: dict[_Kind, tuple[str, ...]] = {
    "codec": ("encoder.block.", "quantizer.quantizers.", "decoder.model."),
    "transformer": ("embedding.", "transformer.layers.", "classifier."),
    "wavebeat": ("blocks.0.conv1.", "blocks.0.res_conv.", "output."),
}
"""Prefixes of parameter names; a checkpoint of a kind has tensors under each of them."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds; tensors are read from it on demand."""

    path: Path
    form: _Form
    kind: _Kind
    kwargs: dict[str, object]
    """The constructor arguments that the file names: numbers, texts, lists, None."""
    tensors: Tensors
    lora: Mapping[str, Lora] = field(default_factory=dict)
    """By layer, what a module object says of its LoRA; a state_dict says nothing."""
    notes: tuple[str, ...] = ()
    """What was taken off or left out while it was read."""
    other_files: tuple[Path, ...] = ()
    """Files that tensors come from beside `path`."""


@dataclass(frozen=True)
class _Contents:
    form: _Form
    entries: Mapping[str, object]
    """What stands in the state_dict: tensors, and what is none."""
    arguments: object
    """What names the constructor arguments; None where nothing does."""
    big_endian: bool = False
    lora: Mapping[str, Lora] = field(default_factory=dict)
    """By tensor, what its layer says."""


def read_checkpoint(path: Path) -> Checkpoint:
    """Describe a checkpoint; no tensor is read but small ones among the constructor arguments.

    Names lose the wrappers that the model was in. Raises InputError for other formats, damaged or
    forged files, anything that would have to be executed, models of another kind, and missing
    constructor arguments.
    """
    contents = _contents(path)
    order = ">" if contents.big_endian else "<"
    bare, wrappers = unwrapped(path, contents.entries)
    tensors = {name: value for name, value in bare.items() if isinstance(value, StoredTensor)}
    for name in tensors:
        if not name.isprintable():
            raise InputError(f"{path}: a tensor is named {name[:80]!r}; the file is damaged")
    require_own_bytes(path, tensors)
    kind = _kind(path, tuple(tensors))
    for name, tensor in tensors.items():
        if tensor.dtype in ("int8", "uint8") and _is_of(name, kind):
            raise InputError(f"{path}: {shortened(name)} is {tensor.dtype}: {QUANTIZED}")
    if contents.arguments is None and kind != "lora":
        raise InputError(
            f"{path}: names no constructor arguments (metadata.kwargs, or hyper_parameters of "
            "Lightning), so its architecture is unknown; save it with the project that trained it"
        )
    lora = {layer_of(name): state for name, state in unwrapped(path, contents.lora)[0].items()}
    return Checkpoint(
        path,
        contents.form,
        kind,
        plain_values(contents.arguments, partial(plain_numbers, path, order)),
        FileTensors(path, contents.big_endian, tensors),
        lora,
        _notes(path, wrappers, [name for name in bare if name not in tensors]),
    )


def _contents(path: Path) -> _Contents:
    if not is_zip(path):
        return _saved_contents(path, read_legacy(path, _MAX_PICKLE_BYTES))
    archive = open_archive(path)
    if "constants.pkl" in archive.entries:
        raise InputError(f"{path}: a TorchScript program, not a checkpoint; {RESAVE}")
    big_endian = _is_big_endian(archive)
    if "data.pkl" in archive.entries:
        table = StorageTable(path, lambda key: archive.entries.get(f"data/{key}"))
        root = _unpickle(archive, "data.pkl", Rules(CALLS, is_namespace, table.resolve))
        return _saved_contents(path, root, big_endian)
    if any(name.startswith(".data/") for name in archive.entries):
        return _package_contents(archive, big_endian)
    raise InputError(
        f"{path}: a zip without data.pkl: not a PyTorch checkpoint; give the .pth file"
    )


def _saved_contents(path: Path, root: object, big_endian: bool = False) -> _Contents:
    """A file of `torch.save`: a state_dict, bare or beside metadata or hyper_parameters."""
    if not isinstance(root, dict):
        kind = f"a {root.cls}" if isinstance(root, Record) else f"a {type(root).__name__}"
        raise InputError(f"{path}: holds {kind} instead of a state_dict; {RESAVE}")
    state = root.get("state_dict", root)
    if not isinstance(state, dict):
        raise InputError(f"{path}: its state_dict is no dictionary; {RESAVE}")
    entries = {name if isinstance(name, str) else shown(name): v for name, v in state.items()}
    parameters = root.get("hyper_parameters", root.get("hparams"))
    if parameters is not None:
        return _Contents("lightning", entries, parameters, big_endian)
    return _Contents("state_dict", entries, _kwargs_of(root.get("metadata")), big_endian)


def _package_contents(archive: Archive, big_endian: bool) -> _Contents:
    """A `torch.package` archive: `<Class>/<Class>.pth` pickles the module object itself."""
    path = archive.path
    table = StorageTable(path, lambda key: archive.entries.get(f".data/{key}.storage"))
    rules = Rules(CALLS, is_foreign, table.resolve)
    named = [n for n in archive.entries if n.endswith(".pth") and _is_doubled(n)]
    if len(named) != 1:
        raise InputError(
            f"{path}: a torch.package archive with {len(named)} models "
            "(<Class>/<Class>.pth), one is needed; export the model alone"
        )
    name = shortened(named[0])
    module = _unpickle(archive, named[0], rules)
    if not isinstance(module, Record):
        raise InputError(f"{path}: {name!r} holds no module; export the model itself")
    metadata_name = named[0].removesuffix(".pth") + ".metadata"
    metadata: object = module.attributes().get("metadata")
    if metadata_name in archive.entries:
        metadata = _unpickle(archive, metadata_name, rules)
    tree = read_modules(path, module)
    return _Contents("package", tree.tensors, _kwargs_of(metadata), big_endian, tree.lora)


def _unpickle(archive: Archive, name: str, rules: Rules) -> object:
    data = archive.read(name, _MAX_PICKLE_BYTES)
    said = name if len(name) < 80 and name.isprintable() else repr(shortened(name))
    return read_pickle(data, f"{archive.path}: {said}", rules)


def _kind(path: Path, names: tuple[str, ...]) -> _Kind:
    for kind, prefixes in _MARKS.items():
        if all(any(name.startswith(prefix) for name in names) for prefix in prefixes):
            return kind
    if only_lora(names):
        return "lora"
    known = ", ".join(shortened(name) for name in names[:3]) or "no tensors"
    raise InputError(
        f"{path}: neither a codec nor a transformer nor a wavebeat checkpoint (it holds {known}"
        f"{', ...' if len(names) > 3 else ''}); give codec.pth, coarse.pth, c2f.pth or wavebeat.pth"
    )


def _is_of(name: str, kind: _Kind) -> bool:
    """Whether it lies in one of the networks that such a checkpoint is made of."""
    roots = {prefix.partition(".")[0] for prefix in _MARKS.get(kind, ())}
    return name.partition(".")[0] in roots


def _kwargs_of(metadata: object) -> object:
    """The constructor arguments of metadata; None where it names none."""
    kwargs = metadata.get("kwargs") if isinstance(metadata, dict) else None
    return kwargs if isinstance(kwargs, dict) else None


def _notes(path: Path, wrappers: tuple[str, ...], left_out: list[str]) -> tuple[str, ...]:
    notes = []
    if wrappers:
        notes.append(
            f"{path.name}: saved inside a wrapper: {', '.join(wrappers)} was taken off the names "
            "of its tensors"
        )
    if left_out:
        named = ", ".join(repr(shortened(name)) for name in left_out[:_MAX_LEFT_OUT])
        more = len(left_out) - _MAX_LEFT_OUT
        notes.append(
            f"{path.name}: left out of its state_dict, no tensor: {named}"
            f"{f' and {more} more' if more > 0 else ''}"
        )
    return tuple(notes)


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
