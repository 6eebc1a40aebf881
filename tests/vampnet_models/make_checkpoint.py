"""Write checkpoints in PyTorch's formats byte by byte, without torch."""

import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int8": "CharStorage",
}


@dataclass(frozen=True)
class Name:
    """A global: pickled as its module and name."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """A REDUCE of a global with arguments."""

    function: Name
    arguments: tuple = ()


@dataclass(frozen=True)
class Obj:
    """An object made by NEWOBJ, with a state."""

    cls: Name
    state: Any = None


@dataclass(frozen=True)
class Raw:
    """Operations of a pickle as they are; they leave one value."""

    operations: bytes


@dataclass(frozen=True)
class Stored:
    """A tensor with its own storage, or a view of it when shape and strides are given."""

    values: np.ndarray
    dtype: str = "float32"
    shape: tuple | None = None
    strides: tuple | None = None
    offset: int = 0
    n_declared: int | None = None
    storage: str | None = None
    torch_dtype: str | None = None  # set: the newer form, with an untyped storage


@dataclass
class Storages:
    """The storages of a file in the order in which the pickle names them."""

    byteorder: str = "little"
    data: list = field(default_factory=list)
    itemsizes: list = field(default_factory=list)
    legacy: bool = False

    def add(self, tensor):
        order = "<" if self.byteorder == "little" else ">"
        values = np.ascontiguousarray(tensor.values)
        if tensor.dtype == "bfloat16":
            upper = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
            self.data.append(upper.astype(order + "u2").tobytes())
        else:
            dtype = np.dtype(tensor.dtype).newbyteorder(order)
            self.data.append(values.astype(dtype).tobytes())
        self.itemsizes.append(len(self.data[-1]) // max(1, values.size))
        return str(len(self.data) - 1)


def pickled(value, storages=None):
    """A protocol-2 pickle of plain values, tensors, globals, calls and objects."""
    return b"\x80\x02" + _emit(value, storages) + b"."


def write_saved(path, root, *, byteorder="little", compression=zipfile.ZIP_STORED, extra=None):
    """What `torch.save(root, path)` writes."""
    storages = Storages(byteorder)
    entries = {"data.pkl": pickled(root, storages), "byteorder": byteorder.encode()}
    entries["version"] = b"3\n"
    entries |= {f"data/{key}": data for key, data in enumerate(storages.data)}
    return write_zip(path, {**entries, **(extra or {})}, compression=compression)


def write_legacy(path, root):
    """What `torch.save(root, path)` of torch before 1.6 writes: pickles, then the storages."""
    storages = Storages(legacy=True)
    body = pickled(root, storages)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    head = [pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    keys = pickled([str(key) for key in range(len(storages.data))])
    runs = [
        struct.pack("<q", len(data) // size) + data
        for data, size in zip(storages.data, storages.itemsizes, strict=True)
    ]
    path.write_bytes(b"".join([*head, body, keys, *runs]))
    return path


def write_package(path, class_name, state_dict, metadata, layers=None):
    """What `torch.package` writes for a module of that class with these parameters.

    `layers` has attributes of single layers, by their name.
    """
    storages = Storages()
    module = _module(state_dict, class_name, layers or {})
    entries = {
        f"{class_name}/{class_name}.pth": pickled(module, storages),
        f"{class_name}/{class_name}.metadata": pickled(metadata, storages),
        ".data/extern_modules": b"torch\n",
        ".data/version": b"6\n",
        "model.py": b"raise SystemExit('executed')\n",
        "byteorder": b"little",
    }
    entries |= {f".data/{key}.storage": data for key, data in enumerate(storages.data)}
    return write_zip(path, entries)


def write_zip(path, entries, *, root="archive", compression=zipfile.ZIP_STORED):
    """A zip of these entries under one root folder."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            # An entry of its own has no date: the same content gives the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{root}/{name}"), data, compression)
    return path


def saved_model(kwargs, state_dict, dtype="float32"):
    """The root object of the original project's files."""
    tensors = {name: Stored(values, dtype) for name, values in state_dict.items()}
    return {"state_dict": tensors, "metadata": {"kwargs": kwargs}}


def random_state(shapes, seed=0):
    """Seeded tensors of these shapes at a level that keeps deep stacks tame."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape)
        if name.endswith(("alpha", "running_var")) or ("norm" in name and name.endswith("weight")):
            values = 0.5 + np.abs(values)
        elif name.endswith(("weight_g", "output.weight")):
            values = 0.5 + 0.1 * values
        elif name.endswith("num_batches_tracked"):
            values = np.array(7)
        elif name.endswith(("bias", "lora_A", "lora_B")):
            values = 0.3 * values
        elif not name.endswith(("codebook.weight", "weight_v", "MASK")) and len(shape) > 1:
            values = values / np.sqrt(np.prod(shape[1:]))
        state[name] = np.asarray(values, np.float32)
    return state


def lora_shapes(shapes, rank=8):
    """The LoRA pairs that VampNet's layers carry."""
    pairs = {}
    for name, shape in shapes.items():
        prefix, _, part = name.rpartition(".")
        if part == "weight" and prefix.endswith(("w_qs", "w_vs", "fc", "w_1", "w_2")):
            pairs[f"{prefix}.lora_A"] = (rank, shape[1])
            pairs[f"{prefix}.lora_B"] = (shape[0], rank)
    return pairs


def _module(state_dict, class_name, layers, prefix=""):
    """A tree of inert modules that holds these parameters."""
    parameters, children = {}, {}
    for name, values in state_dict.items():
        first, dot, rest = name.partition(".")
        if dot:
            children.setdefault(first, {})[rest] = values
        else:
            tensor = Stored(values)
            rebuild = Name("torch._utils", "_rebuild_parameter")
            parameters[first] = Call(rebuild, (tensor, True, _ordered_dict()))
    state = {
        "training": False,
        "_parameters": parameters,
        "_buffers": {"scratch": Stored(np.ones(3, np.float32))},
        "_non_persistent_buffers_set": Call(Name("builtins", "set"), (["scratch"],)),
        "_backward_hooks": _ordered_dict(),
        "_modules": {
            name: _module(child, "Layer", layers, f"{prefix}{name}.")
            for name, child in children.items()
        },
        **layers.get(prefix.removesuffix("."), {}),
    }
    return Obj(Name("some_project.model", class_name), state)


def _ordered_dict():
    return Call(Name("collections", "OrderedDict"))


def _emit(value, storages):
    def many(values):
        return b"".join(_emit(v, storages) for v in values)

    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            digits = value.to_bytes(32, "little", signed=True)
            return b"\x8a" + bytes([len(digits)]) + digits
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case tuple():
            return b"(" + many(value) + b"t"
        case list():
            return b"](" + many(value) + b"e"
        case dict():
            return b"}(" + many(part for item in value.items() for part in item) + b"u"
        case Name():
            return b"c" + f"{value.module}\n{value.name}\n".encode()
        case Call():
            return _emit(value.function, storages) + many([value.arguments]) + b"R"
        case Obj():
            built = _emit(value.cls, storages) + b")\x81"
            return built if value.state is None else built + many([value.state]) + b"b"
        case Raw():
            return value.operations
        case Stored():
            return _emit_tensor(value, storages)
    raise TypeError(value)


def _emit_tensor(tensor, storages):
    shape = tensor.values.shape if tensor.shape is None else tensor.shape
    strides = tensor.strides
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    kind = Name("torch", tensor.storage or STORAGES[tensor.dtype])
    count = tensor.values.size if tensor.n_declared is None else tensor.n_declared
    rest = (tensor.offset, shape, strides, False, _ordered_dict())
    version = "_rebuild_tensor_v2"
    if tensor.torch_dtype is not None:
        kind, count = Name("torch.storage", "UntypedStorage"), tensor.values.nbytes
        rest, version = (*rest, Name("torch", tensor.torch_dtype)), "_rebuild_tensor_v3"
    identifier = ("storage", kind, storages.add(tensor), "cpu", count)
    if storages.legacy:
        identifier = (*identifier, None)
    storage = _emit(identifier, storages) + b"Q"
    arguments = b"(" + storage + b"".join(_emit(r, storages) for r in rest) + b"t"
    return _emit(Name("torch._utils", version), storages) + arguments + b"R"
