"""All that a checkpoint's pickle may construct; every result is inert."""

from __future__ import annotations

import sys
from collections.abc import Callable

from vampnet_models.checkpoint_pickle import Global, Record
from vampnet_models.checkpoint_tensors import (
    rebuild_parameter,
    rebuild_tensor,
    rebuild_untyped_tensor,
    refuse_quantized,
)
from vampnet_models.errors import InputError

LIGHTNING_PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric")


def is_namespace(cls: Global) -> bool:
    """Classes whose objects stand beside a state_dict: argument namespaces."""
    return cls == Global("argparse", "Namespace") or cls.module.split(".")[0] in LIGHTNING_PACKAGES


def is_foreign(cls: Global) -> bool:
    """Classes of modules in an archive: torch's layers and those of packages, never the rest."""
    root = cls.module.split(".")[0]
    if root == "torch":
        return cls.module.startswith("torch.nn.")
    return root not in sys.stdlib_module_names


def _ordered_dict() -> dict[str, object]:
    return {}


def _values(values: object = ()) -> list[object]:
    if not isinstance(values, list | tuple):
        raise TypeError("a set of something that is no list")
    return list(values)


def _size(values: object) -> tuple[object, ...]:
    return tuple(_values(values))


def _text(*parts: object) -> str:
    return "/".join(part for part in parts if isinstance(part, str))


def _opaque(name: str) -> Callable[..., object]:
    """A value that nobody needs: its arguments are dropped."""

    def make(*_arguments: object) -> Record:
        return Record(Global("numpy", name))

    return make


def _rebuild_typed(function: object, _cls: object, arguments: object, _state: object) -> object:
    """`torch._tensor._rebuild_from_type_v2`: a tensor that carries Python attributes."""
    if not isinstance(function, Global) or function not in TENSOR_CALLS:
        raise InputError(f"wants to call {function}, which rebuilds no tensor; refused")
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are no tuple")
    return TENSOR_CALLS[function](*arguments)


TENSOR_CALLS: dict[Global, Callable[..., object]] = {
    Global("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v3"): rebuild_untyped_tensor,
    Global("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    Global("torch._utils", "_rebuild_qtensor"): refuse_quantized,
}

CALLS: dict[Global, Callable[..., object]] = {
    **TENSOR_CALLS,
    Global("torch._tensor", "_rebuild_from_type_v2"): _rebuild_typed,
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("builtins", "set"): _values,
    Global("builtins", "frozenset"): _values,
    Global("torch", "Size"): _size,
    Global("torch", "device"): _text,
    Global("pathlib", "PosixPath"): _text,
    Global("pathlib", "WindowsPath"): _text,
    Global("numpy.core.multiarray", "scalar"): _opaque("scalar"),
    Global("numpy._core.multiarray", "scalar"): _opaque("scalar"),
    Global("numpy", "dtype"): _opaque("dtype"),
    Global("_codecs", "encode"): _opaque("bytes"),
}
"""All that a checkpoint may call, and what stands in for it: every result is inert."""
