"""Mutants of checkpoints: their bytes, zip directories, pickles, arguments, tensors; bombs."""

from __future__ import annotations

import pickle
import pickletools
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.fuzz import bombs
from tests.fuzz.changes import Rng, at_bytes, extreme, pick
from tests.fuzz.runner import Kind, Mutant
from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import (
    Raw,
    Stored,
    saved_model,
    write_legacy,
    write_package,
    write_saved,
    write_zip,
)
from vampnet_models.errors import WorkbenchError
from vampnet_models.importing.importer import import_models

FORMS = ("codec", "coarse", "package", "wavebeat", "legacy", "numpy", "lora")


@cache
def _coarse_state() -> dict[str, np.ndarray]:
    return small.transformer_state(small.COARSE)


@cache
def _codec_state() -> dict[str, np.ndarray]:
    return small.codec_state(small.LAC)


@cache
def _whole(form: str) -> bytes:
    """A small checkpoint of that form."""
    with tempfile.TemporaryDirectory() as folder:
        return _write(form, Path(folder) / "whole.pth").read_bytes()


def _write(form: str, path: Path) -> Path:
    state = _coarse_state()
    match form:
        case "codec":
            return small.write_codec(path)
        case "package":
            return write_package(path, "VampNet", state, {"kwargs": small.COARSE})
        case "wavebeat":
            tensors = {name: Stored(values) for name, values in small.wavebeat_state().items()}
            root = {"state_dict": tensors, "hyper_parameters": small.WAVEBEAT}
            return write_saved(path, root)
        case "numpy":
            rates = {name: np.array(small.LAC[name]) for name in ("encoder_rates", "decoder_rates")}
            kwargs = Raw(pickle.dumps({**small.LAC, **rates}, 2)[2:-1])
            return write_saved(path, saved_model(kwargs, _codec_state()))
        case "lora":
            return write_saved(path, {n: Stored(v) for n, v in state.items() if ".lora_" in n})
        case "legacy":
            return write_legacy(path, saved_model(small.COARSE, state))
    return small.write_transformer(path)


def _mutate(rng: Rng) -> Mutant:
    form = pick(rng, FORMS)
    name, change = pick(rng, _CHANGES)
    return Mutant("m.pth", change(form, rng), f"{form}: {name}")


def _anywhere(form: str, rng: Rng) -> bytes:
    return at_bytes(_whole(form), rng)


def _cut(form: str, rng: Rng) -> bytes:
    whole = _whole(form)
    return whole[: int(rng.integers(len(whole)))]


def _directory(form: str, rng: Rng) -> bytes:
    """Extreme numbers in the zip's records: sizes, offsets, counts, flags, methods."""
    data = bytearray(_whole(form))
    for _ in range(int(rng.integers(1, 4))):
        signature, fields = pick(rng, _ZIP_FIELDS)
        places = [i for i in range(len(data) - 4) if data[i : i + 4] == signature]
        if places:
            at, code = pick(rng, fields)
            start, size = pick(rng, places) + at, struct.calcsize(code)
            data[start : start + size] = struct.pack(code, extreme(rng, 8 * size))
    return bytes(data)


_ZIP_FIELDS = (
    (b"PK\x03\x04", ((6, "<H"), (8, "<H"), (18, "<I"), (22, "<I"), (26, "<H"), (28, "<H"))),
    (
        b"PK\x01\x02",
        (
            *((8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<H"), (30, "<H")),
            *((32, "<H"), (42, "<I"), (42, "<I")),
        ),
    ),
    (b"PK\x05\x06", ((4, "<H"), (8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H"))),
)


def _pickle(form: str, rng: Rng) -> bytes:
    """Operations of the pickle repeated, left out, exchanged, with other arguments."""
    data = _whole(form)
    start = data.index(b"\x80\x02", 40 if form == "legacy" else 0)
    operations = _operations(data, start)
    stop = start + sum(map(len, operations))
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(operations)))
        match int(rng.integers(6)):
            case 0:
                del operations[place]
            case 1:
                operations[place:place] = [operations[place]] * int(pick(rng, (1, 2, 100, 5000)))
            case 2:
                other = int(rng.integers(len(operations)))
                operations[place], operations[other] = operations[other], operations[place]
            case 3:
                operations[place] = pick(rng, bombs.VALUES)
            case 4:
                operations.insert(place, pick(rng, bombs.VALUES))
            case 5:
                changed = bytearray(operations[place])
                changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
                operations[place] = bytes(changed)
        if not operations:
            operations = [b"."]
    return _with_pickle(form, data, start, stop, b"".join(operations))


def _operations(data: bytes, start: int) -> list[bytes]:
    places = [at for _, _, at in pickletools.genops(data[start:])]
    ends = [*places[1:], places[-1] + 1]
    return [data[start + a : start + b] for a, b in zip(places, ends, strict=True)]


def _with_pickle(form: str, data: bytes, start: int, stop: int, made: bytes) -> bytes:
    """The file with another main pickle; in a zip, as an archive without the tensors' data."""
    if form == "legacy":
        return data[:start] + made + data[stop:]
    with tempfile.TemporaryDirectory() as folder:
        name = "VampNet/VampNet.pth" if form == "package" else "data.pkl"
        entries = {name: made, "byteorder": b"little"}
        storages = {f"data/{key}": bytes(4096) for key in range(80)}
        if form == "package":
            storages = {f".data/{key}.storage": bytes(4096) for key in range(80)}
            entries[".data/version"] = b"6\n"
        return write_zip(Path(folder) / "m.pth", {**entries, **storages}).read_bytes()


def _arguments(_form: str, rng: Rng) -> bytes:
    """A constructor argument that no model has."""
    kwargs = dict(small.LAC if (is_codec := rng.random() < 0.5) else small.COARSE)
    state = _codec_state() if is_codec else _coarse_state()
    for _ in range(int(rng.integers(1, 3))):
        kwargs[pick(rng, list(kwargs))] = bombs.argument(rng)
    return _saved(saved_model(kwargs, state))


def _tensors(_form: str, rng: Rng) -> bytes:
    """A tensor whose shape, strides, offset or storage are not what they should be."""
    root = saved_model(small.COARSE, _coarse_state())
    state = root["state_dict"]
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, list(state))
        state[name] = bombs.tensor(state[name].values, rng)
    return _saved(root)


def _bomb(_form: str, rng: Rng) -> bytes:
    """A pickle that grows, nests, collides or repeats, at one of the places that hold values."""
    root = saved_model(small.COARSE, _coarse_state())
    bomb = bombs.bomb(rng)
    match int(rng.integers(5)):
        case 0:
            root["metadata"]["kwargs"]["n_heads"] = bomb
        case 1:
            root["metadata"]["note"] = bomb
        case 2:
            root["state_dict"]["embedding.bomb"] = bomb
        case 3:
            root["metadata"] = bomb
        case 4:
            return _module(bomb)
    return _saved(root)


def _module(bomb: object) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        state = _coarse_state()
        metadata = {"kwargs": small.COARSE, "note": bomb}
        return write_package(Path(folder) / "m.pth", "VampNet", state, metadata).read_bytes()


def _saved(root: object) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_saved(Path(folder) / "m.pth", root).read_bytes()


_CHANGES = (
    *((("anywhere"), _anywhere),) * 2,
    ("cut", _cut),
    *((("directory"), _directory),) * 2,
    *((("pickle"), _pickle),) * 3,
    ("arguments", _arguments),
    ("tensors", _tensors),
    *((("bomb"), _bomb),) * 2,
)


def _import(path: Path, out: Path) -> int:
    """Import it alone; where a codec or a base is what it lacks, with one."""
    try:
        import_models([path], out, self_check=False)
    except WorkbenchError as error:
        if "add codec.pth" not in str(error) and "--base" not in str(error):
            raise
        base = out / "base.pth"
        base.write_bytes(_whole("coarse"))
        bases = [base] if "--base" in str(error) else []
        codec = out / "codec.pth"
        codec.write_bytes(_whole("codec"))
        import_models([path, codec], out / "models", bases=bases, self_check=False)
    return 2 * path.stat().st_size


def _prepare() -> None:
    for form in FORMS:
        _whole(form)


KIND = Kind("checkpoints", _mutate, (_import,), (WorkbenchError,), _prepare)
