"""Whether two files are variants of one model."""

from __future__ import annotations

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.spec import TensorSpec


def check_same_interface(reference: Artifact, variant: Artifact) -> None:
    """Raise InputError unless both take and give tensors of the same names and fixed sizes."""
    for ours, theirs in (
        (reference.spec.inputs, variant.spec.inputs),
        (reference.spec.outputs, variant.spec.outputs),
    ):
        wanted = {t.name: t for t in ours}
        found = {t.name: t for t in theirs}
        differing = [
            name
            for name in sorted(wanted.keys() | found.keys())
            if name not in wanted or name not in found or not _fits(wanted[name], found[name])
        ]
        if differing:
            pairs = (f"{n} {_shape(wanted.get(n))} and {_shape(found.get(n))}" for n in differing)
            raise InputError(
                f"{variant.path}: not a variant of {reference.path.name}: they differ in "
                f"{', '.join(pairs)}; name two files of the same model"
            )


def _shape(tensor: TensorSpec | None) -> str:
    """A tensor's shape for the user, `none` where a model has no such tensor."""
    return "none" if tensor is None else tensor.described.removeprefix(f"{tensor.dtype} ")


def _fits(wanted: TensorSpec, found: TensorSpec) -> bool:
    """The same form and rank, and no dimension that both fix at another size."""
    if wanted.form != found.form:
        return False
    if not wanted.ranked or not found.ranked:
        return True
    return len(wanted.shape) == len(found.shape) and not any(
        isinstance(a, int) and isinstance(b, int) and a != b
        for a, b in zip(wanted.shape, found.shape, strict=True)
    )
