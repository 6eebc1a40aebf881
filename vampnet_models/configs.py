"""A checkpoint's constructor arguments -> the configuration of its graph, checked.

Nothing is assumed: an argument that a graph needs and the file does not name is an error, and
`require_layout` compares every tensor's name and shape with what the arguments call for.
"""

from __future__ import annotations

from collections.abc import Mapping

from vampnet_models.checkpoint import Checkpoint
from vampnet_models.codec import CodecConfig
from vampnet_models.errors import InputError
from vampnet_models.shapes import Shapes, codec_shapes, transformer_shapes
from vampnet_models.transformer import TransformerConfig
from vampnet_models.wavebeat import WavebeatConfig, wavebeat_shapes

Config = CodecConfig | TransformerConfig | WavebeatConfig

MAX_COUNT = 1024
"""No model has more layers, blocks, codebooks or rates."""

MAX_SIZE = 1 << 20
"""No model has a wider layer or a larger vocabulary."""

NAMED_TENSORS = 8
"""How many tensors of a kind an error lists before it counts the rest."""

CONDITIONED = "conditioning inputs that these graphs do not serve; give an unconditioned checkpoint"


def config_of(checkpoint: Checkpoint) -> Config:
    """The configuration, after every tensor was found to fit it.

    Raises InputError that names a missing or impossible argument, a conditioning input, or all
    tensors that are missing, extra or wrongly shaped.
    """
    config: Config
    match checkpoint.kind:
        case "codec":
            config = _codec(checkpoint)
            shapes = codec_shapes(config)
        case "transformer":
            config = _transformer(checkpoint)
            shapes = transformer_shapes(config)
        case "wavebeat":
            config = _wavebeat(checkpoint)
            shapes = wavebeat_shapes(config)
    require_layout(checkpoint, shapes)
    return config


def require_layout(checkpoint: Checkpoint, shapes: Shapes) -> None:
    """Compare the tensors with the expected ones; LoRA and the forms of weight norm may vary.

    Raises one InputError that names the missing, the extra and the wrongly shaped tensors.
    """
    tensors = checkpoint.tensors
    found = {name: tensors.shape(name) for name in tensors.names()}
    expected = _as_stored(shapes, found)
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected and not _is_lora(name, expected)]
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    wrong += _wrong_lora(found, expected)
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


def _codec(checkpoint: Checkpoint) -> CodecConfig:
    names = checkpoint.tensors.names()
    latent = checkpoint.kwargs.get("latent_dim")
    return CodecConfig(
        encoder_dim=_size(checkpoint, "encoder_dim"),
        encoder_rates=_rates(checkpoint, "encoder_rates"),
        decoder_dim=_size(checkpoint, "decoder_dim"),
        decoder_rates=_rates(checkpoint, "decoder_rates"),
        n_codebooks=_count(checkpoint, "n_codebooks"),
        codebook_size=_size(checkpoint, "codebook_size"),
        codebook_dim=_codebook_dim(checkpoint),
        sample_rate=_size(checkpoint, "sample_rate"),
        latent_dim=None if latent is None else _size(checkpoint, "latent_dim"),
        kind="lac" if any(".mrf_blocks." in name for name in names) else "dac",
    )


def _transformer(checkpoint: Checkpoint) -> TransformerConfig:
    kwargs = checkpoint.kwargs
    for name in ("ctrl_dims", "cond_dim", "r_cond_dim"):
        if kwargs.get(name):
            raise InputError(f"{checkpoint.path}: {name} is {kwargs[name]!r}: it has {CONDITIONED}")
    config = TransformerConfig(
        n_heads=_count(checkpoint, "n_heads"),
        n_layers=_count(checkpoint, "n_layers"),
        n_codebooks=_count(checkpoint, "n_codebooks"),
        n_conditioning_codebooks=_natural(checkpoint, "n_conditioning_codebooks", 0, MAX_COUNT),
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
                f"{checkpoint.path}: {name} is {checkpoint.kwargs[name]!r}; only {served} is served"
            )
    config = WavebeatConfig(
        nblocks=_count(checkpoint, "nblocks"),
        kernel_size=_size(checkpoint, "kernel_size"),
        stride=_size(checkpoint, "stride"),
        dilation_growth=_count(checkpoint, "dilation_growth"),
        channel_growth=_natural(checkpoint, "channel_growth", 0, MAX_SIZE),
        channel_width=_size(checkpoint, "channel_width"),
        stack_size=_count(checkpoint, "stack_size"),
    )
    widest = config.dilation(min(config.nblocks, config.stack_size) - 1)
    if widest > MAX_SIZE or config.kernel_size % 2 == 0:
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
                f"{checkpoint.path}: codebook_dim {list(value)}: codebooks of different sizes are "
                "not served"
            )
        return value[0]
    return _size(checkpoint, "codebook_dim")


def _rates(checkpoint: Checkpoint, name: str) -> tuple[int, ...]:
    value = _argument(checkpoint, name)
    rates = tuple(value) if isinstance(value, list | tuple) else ()
    if not 0 < len(rates) <= 16 or not all(isinstance(r, int) and 0 < r <= 64 for r in rates):
        raise InputError(f"{checkpoint.path}: {name} is {value!r}, not a list of strides")
    return tuple(int(rate) for rate in rates)


def _count(checkpoint: Checkpoint, name: str) -> int:
    return _natural(checkpoint, name, 1, MAX_COUNT)


def _size(checkpoint: Checkpoint, name: str) -> int:
    return _natural(checkpoint, name, 1, MAX_SIZE)


def _natural(checkpoint: Checkpoint, name: str, low: int, high: int) -> int:
    value = _argument(checkpoint, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"{checkpoint.path}: {name} is {value!r}, not a whole number from {low} to {high}"
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
    """The pairs that are no `[rank, in]` and `[out, rank]`."""
    wrong = []
    for prefix in dict.fromkeys(n.rpartition(".")[0] for n in found if _is_lora(n, expected)):
        outputs, inputs = expected[f"{prefix}.weight"]
        low, high = (found.get(f"{prefix}.{part}", ()) for part in ("lora_A", "lora_B"))
        rank = low[0] if low else 0
        if rank < 1 or low != (rank, inputs) or high != (outputs, rank):
            wrong.append(f"{prefix}.lora_A, lora_B {list(low)}, {list(high)} instead of a pair")
    return wrong


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED_TENSORS])
    return shown + (f" and {len(names) - NAMED_TENSORS} more" if len(names) > NAMED_TENSORS else "")
