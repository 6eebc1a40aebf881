"""All that a checkpoint's pickle may construct; every result is inert."""

from __future__ import annotations

import sys
from collections.abc import Callable

from vampnet_models.checkpoints.arguments import (
    ENCODED,
    NUMPY_ARRAY,
    NUMPY_DTYPE,
    NUMPY_SCALAR,
)
from vampnet_models.checkpoints.pickle_values import Global, Record
from vampnet_models.checkpoints.stored_tensors import (
    rebuild_parameter,
    rebuild_tensor,
    rebuild_untyped_tensor,
    refuse_quantized,
)
from vampnet_models.errors import InputError

_CORES = ("core", "_core")
"""numpy's inner package before 2.0 and since."""

_PATHS = tuple(Global("pathlib", kind) for kind in ("PosixPath", "WindowsPath", "PurePosixPath"))

_LIGHTNING_PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric")


def is_namespace(cls: Global) -> bool:
    """Classes whose objects stand beside a state_dict: argument namespaces."""
    return cls == Global("argparse", "Namespace") or cls.module.split(".")[0] in _LIGHTNING_PACKAGES


def is_foreign(cls: Global) -> bool:
    """Classes of modules in an archive: torch's layers and those of packages, never the rest."""
    root = cls.module.split(".")[0]
    if root == "torch":
        return cls.module.startswith("torch.nn.")
    return root not in sys.stdlib_module_names


def _ordered_dict() -> dict[str, object]:
    return {}


def _values(values: object = None) -> list[object]:
    """A set: the list that it is made of, not copied."""
    if values is None:
        return []
    if not isinstance(values, list):
        raise TypeError("a set of something that is no list")
    return values


def _size(values: object) -> tuple[object, ...]:
    if not isinstance(values, tuple):
        raise TypeError("a size of something that is no tuple")
    return values


def _device(name: object, *_index: object) -> object:
    return name


def _opaque(name: Global) -> Callable[..., object]:
    """A value of which only the arguments are known; what needs it takes them apart."""

    def make(*arguments: object) -> Record:
        return Record(name, made=arguments)

    return make


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> Record:
    """`numpy._core.numeric._frombuffer`: an array of protocol 5, in the form of the others."""
    return Record(NUMPY_ARRAY, state=(1, shape, dtype, order == "F", data))


def _rebuild_typed(function: object, _cls: object, arguments: object, _state: object) -> object:
    """`torch._tensor._rebuild_from_type_v2`: a tensor that carries Python attributes."""
    if not isinstance(function, Global) or function not in _TENSOR_CALLS:
        raise InputError(f"wants to call {function}, which rebuilds no tensor; refused")
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are no tuple")
    return _TENSOR_CALLS[function](*arguments)


_TENSOR_CALLS: dict[Global, Callable[..., object]] = {
    Global("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v3"): rebuild_untyped_tensor,
    Global("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    Global("torch._utils", "_rebuild_qtensor"): refuse_quantized,
}

CALLS: dict[Global, Callable[..., object]] = {
    **_TENSOR_CALLS,
    Global("torch._tensor", "_rebuild_from_type_v2"): _rebuild_typed,
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("builtins", "set"): _values,
    Global("builtins", "frozenset"): _values,
    Global("torch", "Size"): _size,
    Global("torch", "device"): _device,
    **{name: _opaque(name) for name in (*_PATHS, NUMPY_DTYPE, ENCODED)},
    **{Global(f"numpy.{core}.multiarray", "scalar"): _opaque(NUMPY_SCALAR) for core in _CORES},
    **{Global(f"numpy.{core}.multiarray", "_reconstruct"): _opaque(NUMPY_ARRAY) for core in _CORES},
    **{Global(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
}
"""All that a checkpoint may call, and what stands in for it: every result is inert."""
