"""A checkpoint's constructor arguments -> the configuration of its graph, checked.

Nothing is assumed: an argument that a graph needs and the file does not name is an error, and
`_require_layout` compares every tensor's name and shape with what the arguments call for. Tensors
beyond those are left out by name, unless they contradict the arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.parameter_shapes import Shapes, codec_shapes, transformer_shapes
from vampnet_models.architectures.transformer import LORA_ALPHA, TransformerConfig
from vampnet_models.architectures.wavebeat import WavebeatConfig, wavebeat_shapes
from vampnet_models.checkpoints.arguments import shown
from vampnet_models.checkpoints.checkpoint import Checkpoint
from vampnet_models.checkpoints.names import layer_of
from vampnet_models.checkpoints.stored_tensors import FLOATS, QUANTIZED
from vampnet_models.checkpoints.zip_entries import shortened
from vampnet_models.errors import InputError
from vampnet_models.family import MAX_HOP_SAMPLES, MAX_RATE_HZ, MIN_RATE_HZ

Config = CodecConfig | TransformerConfig | WavebeatConfig

_MAX_COUNT = 1024
"""No model has more layers, blocks, codebooks or rates."""

_MAX_SIZE = 1 << 20
"""No model has a wider layer or a larger vocabulary."""

NAMED_TENSORS = 8
"""How many tensors of a kind an error lists before it counts the rest."""

_EXTRA = "no part of the architecture that the constructor arguments name"
_MERGED = "in the weight already: saved in eval mode, which merges LoRA"
_ZERO_PRODUCT = "without its lora_B, which begins as zeros: the product is zero"

_STEP_COUNTER = ".num_batches_tracked"
"""The one integer tensor that a float checkpoint holds, in batch norms."""

_NUMBER = re.compile(r"\.\d+(?=\.)")

_CONDITIONED = (
    "conditioning inputs that these graphs do not serve; give an unconditioned checkpoint"
)


def config_of(checkpoint: Checkpoint, sample_rate_hz: int | None = None) -> Config:
    """The configuration, after every tensor that it calls for was found to fit it.

    `sample_rate_hz` is for a codec whose arguments name none.

    Raises InputError that names a missing or impossible argument, a conditioning input, or all
    tensors that are missing, wrongly shaped, not in floats, or more than the arguments say.
    """
    config: Config
    match checkpoint.kind:
        case "codec":
            config = _codec(checkpoint, sample_rate_hz)
        case "transformer":
            config = _transformer(checkpoint)
        case "wavebeat":
            config = _wavebeat(checkpoint)
        case "lora":
            raise InputError(
                f"{checkpoint.path}: holds LoRA tensors alone; name the transformer that they "
                "change (`--base coarse.pth`)"
            )
    _require_layout(checkpoint, _shapes_of(config))
    return config


def _shapes_of(config: Config) -> Shapes:
    """The tensors that a configuration calls for."""
    match config:
        case CodecConfig():
            return codec_shapes(config)
        case TransformerConfig():
            return transformer_shapes(config)
        case WavebeatConfig():
            return wavebeat_shapes(config)


def _require_layout(checkpoint: Checkpoint, shapes: Shapes) -> None:
    """Compare the tensors with the expected ones; LoRA and the forms of weight norm may vary.

    Raises one InputError that names the missing, the extra and the wrongly shaped tensors, or one
    that is not in floats. Extra ones alone are no error, unless they are layers like the others
    that the arguments do not count.
    """
    tensors = checkpoint.tensors
    found = {name: tensors.shape(name) for name in tensors.names()}
    expected = _as_stored(shapes, found)
    missing = [name for name in expected if name not in found]
    extra = _extra(found, expected)
    wrong = [
        f"{name} {_dims(found[name])} instead of {_dims(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    wrong += _wrong_lora(found, expected)
    if not (missing or wrong or _uncounted(extra, expected)):
        extra = []
    complaints = [
        f"{len(names)} {what} ({_listed(names)})"
        for what, names in (("missing", missing), ("extra", extra), ("wrongly shaped", wrong))
        if names
    ]
    if complaints:
        raise InputError(
            f"{checkpoint.path}: its tensors do not fit its constructor arguments: "
            f"{'; '.join(complaints)}; the checkpoint is damaged or of another architecture"
        )
    for name in expected:
        if tensors.dtype(name) not in FLOATS and not name.endswith(_STEP_COUNTER):
            raise InputError(f"{checkpoint.path}: {name} is {tensors.dtype(name)}: {QUANTIZED}")


def tensors_left(checkpoint: Checkpoint, config: Config) -> dict[str, str]:
    """The tensors that no model needs, each with the reason.

    Raises InputError for LoRA whose scale is another than loralib's default.
    """
    tensors = checkpoint.tensors
    found = {name: tensors.shape(name) for name in tensors.names()}
    expected = _as_stored(_shapes_of(config), found)
    left = dict.fromkeys(_extra(found, expected), _EXTRA)
    for name in found:
        if not _is_lora(name, expected):
            continue
        layer = layer_of(name)
        state = checkpoint.lora.get(layer)
        if state is not None and state.merged:
            left[name] = _MERGED
        elif f"{layer}.lora_B" not in found:
            left[name] = _ZERO_PRODUCT
        elif state is not None and state.scale is not None:
            _require_scale(checkpoint.path, layer, state.scale, found[f"{layer}.lora_A"][0])
    return left


def _require_scale(path: Path, layer: str, scale: float, rank: int) -> None:
    if abs(scale * rank - LORA_ALPHA) > 1e-6:
        raise InputError(
            f"{path}: the LoRA of {layer} is scaled by {scale:g}, and only alpha {LORA_ALPHA:g} "
            "over the rank is served; merge it into the weight where it was trained"
        )


def _extra(found: Mapping[str, tuple[int, ...]], expected: Shapes) -> list[str]:
    return [name for name in found if name not in expected and not _is_lora(name, expected)]


def _uncounted(extra: list[str], expected: Shapes) -> list[str]:
    """Extra tensors that are expected under another number: layers beyond the named count."""
    patterns = {_NUMBER.sub(".#", name) for name in expected}
    return [name for name in extra if _NUMBER.sub(".#", name) in patterns]


def _codec(checkpoint: Checkpoint, sample_rate_hz: int | None) -> CodecConfig:
    names = checkpoint.tensors.names()
    latent = checkpoint.kwargs.get("latent_dim")
    config = CodecConfig(
        encoder_dim=_size(checkpoint, "encoder_dim"),
        encoder_rates=_rates(checkpoint, "encoder_rates"),
        decoder_dim=_size(checkpoint, "decoder_dim"),
        decoder_rates=_rates(checkpoint, "decoder_rates"),
        n_codebooks=_count(checkpoint, "n_codebooks"),
        codebook_size=_size(checkpoint, "codebook_size"),
        codebook_dim=_codebook_dim(checkpoint),
        sample_rate=_sample_rate(checkpoint, sample_rate_hz),
        latent_dim=None if latent is None else _size(checkpoint, "latent_dim"),
        kind="lac" if any(".mrf_blocks." in name for name in names) else "dac",
    )
    if config.hop > MAX_HOP_SAMPLES:
        raise InputError(
            f"{checkpoint.path}: its strides make frames of {config.hop} samples; the arguments "
            "are damaged"
        )
    return config


def _sample_rate(checkpoint: Checkpoint, given: int | None) -> int:
    """What the arguments name, or what was given where they name none."""
    name = "sample_rate"
    if checkpoint.kwargs.get(name) is None and given is not None:
        return given
    if name not in checkpoint.kwargs:
        raise InputError(
            f"{checkpoint.path}: its constructor arguments name no {name}; give it with "
            "--sample-rate HZ"
        )
    named = _natural(checkpoint, name, MIN_RATE_HZ, MAX_RATE_HZ)
    if given not in (None, named):
        raise InputError(
            f"{checkpoint.path}: {name} is {named}, and --sample-rate says {given}; leave it out"
        )
    return named


def _transformer(checkpoint: Checkpoint) -> TransformerConfig:
    kwargs = checkpoint.kwargs
    for name in ("ctrl_dims", "cond_dim", "r_cond_dim"):
        if kwargs.get(name):
            raise InputError(
                f"{checkpoint.path}: {name} is {shown(kwargs[name])}: it has {_CONDITIONED}"
            )
    config = TransformerConfig(
        n_heads=_count(checkpoint, "n_heads"),
        n_layers=_count(checkpoint, "n_layers"),
        n_codebooks=_count(checkpoint, "n_codebooks"),
        n_conditioning_codebooks=_natural(checkpoint, "n_conditioning_codebooks", 0, _MAX_COUNT),
        latent_dim=_size(checkpoint, "latent_dim"),
        embedding_dim=_size(checkpoint, "embedding_dim"),
        vocab_size=_size(checkpoint, "vocab_size"),
    )
    if config.n_conditioning_codebooks >= config.n_codebooks:
        raise InputError(
            f"{checkpoint.path}: {config.n_conditioning_codebooks} of {config.n_codebooks} "
            "codebooks are given, so none is predicted; the arguments are damaged"
        )
    if config.embedding_dim % config.n_heads:
        raise InputError(
            f"{checkpoint.path}: embedding_dim {config.embedding_dim} is no multiple of n_heads "
            f"{config.n_heads}; the arguments are damaged"
        )
    return config


def _wavebeat(checkpoint: Checkpoint) -> WavebeatConfig:
    for name, served in (("norm_type", "BatchNorm"), ("act_type", "PReLU")):
        if checkpoint.kwargs.get(name, served) != served:
            raise InputError(
                f"{checkpoint.path}: {name} is {shown(checkpoint.kwargs[name])}; only {served} is "
                "served"
            )
    config = WavebeatConfig(
        nblocks=_count(checkpoint, "nblocks"),
        kernel_size=_size(checkpoint, "kernel_size"),
        stride=_size(checkpoint, "stride"),
        dilation_growth=_count(checkpoint, "dilation_growth"),
        channel_growth=_natural(checkpoint, "channel_growth", 0, _MAX_SIZE),
        channel_width=_size(checkpoint, "channel_width"),
        stack_size=_count(checkpoint, "stack_size"),
    )
    widest = config.dilation(min(config.nblocks, config.stack_size) - 1)
    if widest > _MAX_SIZE or config.kernel_size % 2 == 0:
        raise InputError(
            f"{checkpoint.path}: kernel_size {config.kernel_size} with dilations up to {widest}: "
            "its two branches would not have the same length; the arguments are damaged"
        )
    return config


def _codebook_dim(checkpoint: Checkpoint) -> int:
    """One number; DAC may store one per codebook, which must then agree."""
    value = checkpoint.kwargs.get("codebook_dim")
    if isinstance(value, list | tuple):
        if len(set(value)) != 1 or not isinstance(value[0], int):
            raise InputError(
                f"{checkpoint.path}: codebook_dim {shown(value)}: codebooks of different sizes are "
                "not served"
            )
        return value[0]
    return _size(checkpoint, "codebook_dim")


def _rates(checkpoint: Checkpoint, name: str) -> tuple[int, ...]:
    value = _argument(checkpoint, name)
    rates = tuple(value) if isinstance(value, list | tuple) else ()
    if not 0 < len(rates) <= 16 or not all(isinstance(r, int) and 0 < r <= 64 for r in rates):
        raise InputError(f"{checkpoint.path}: {name} is {shown(value)}, not a list of strides")
    return tuple(int(rate) for rate in rates)


def _count(checkpoint: Checkpoint, name: str) -> int:
    return _natural(checkpoint, name, 1, _MAX_COUNT)


def _size(checkpoint: Checkpoint, name: str) -> int:
    return _natural(checkpoint, name, 1, _MAX_SIZE)


def _natural(checkpoint: Checkpoint, name: str, low: int, high: int) -> int:
    value = _argument(checkpoint, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"{checkpoint.path}: {name} is {shown(value)}, not a whole number from {low} to {high}"
        )
    return value


def _argument(checkpoint: Checkpoint, name: str) -> object:
    if name not in checkpoint.kwargs:
        raise InputError(
            f"{checkpoint.path}: its constructor arguments name no {name}; save it with the "
            "project that trained it"
        )
    return checkpoint.kwargs[name]


def _as_stored(shapes: Shapes, found: Mapping[str, tuple[int, ...]]) -> Shapes:
    """The expected tensors under the form of weight norm that the file has at each place.

    `weight_g` and `weight_v`, the parametrization's `original0` and `original1`, or one plain
    `weight` whose norm was removed.
    """
    stored: Shapes = {}
    for name, shape in shapes.items():
        prefix, _, part = name.rpartition(".")
        parametrized = f"{prefix}.parametrizations.weight.original"
        if part in ("weight_g", "weight_v") and f"{parametrized}1" in found:
            stored[f"{parametrized}{0 if part == 'weight_g' else 1}"] = shape
        elif part == "weight_v" and f"{prefix}.weight" in found:
            stored[f"{prefix}.weight"] = shape
        elif part != "weight_g" or f"{prefix}.weight" not in found:
            stored[name] = shape
    return stored


def _is_lora(name: str, expected: Shapes) -> bool:
    """Whether it belongs to an expected linear layer."""
    prefix, _, part = name.rpartition(".")
    shape = expected.get(f"{prefix}.weight", ())
    return part in ("lora_A", "lora_B") and len(shape) == 2 and "relative_attention" not in prefix


def _wrong_lora(found: Mapping[str, tuple[int, ...]], expected: Shapes) -> list[str]:
    """The pairs that are no `[rank, in]` and `[out, rank]`.

    The second factor may be missing: it begins as zeros, and so does a model that is loaded
    without it. The first one begins at random.
    """
    wrong = []
    for layer in dict.fromkeys(layer_of(n) for n in found if _is_lora(n, expected)):
        outputs, inputs = expected[f"{layer}.weight"]
        low = found.get(f"{layer}.lora_A", ())
        rank = low[0] if low else 0
        high = found.get(f"{layer}.lora_B", (outputs, rank))
        if rank < 1 or low != (rank, inputs) or high != (outputs, rank):
            pair = f"{_dims(low)}, {_dims(high)}"
            wrong.append(f"{layer}.lora_A, lora_B {pair} instead of a pair")
    return wrong


def _dims(shape: tuple[int, ...]) -> str:
    return shown(list(shape))


def _listed(names: list[str]) -> str:
    named = ", ".join(
        name if len(name) < 200 else shortened(name) for name in names[:NAMED_TENSORS]
    )
    return named + (f" and {len(names) - NAMED_TENSORS} more" if len(names) > NAMED_TENSORS else "")
