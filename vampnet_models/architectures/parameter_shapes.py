"""The tensors that a checkpoint of a given configuration holds."""

from __future__ import annotations

from vampnet_models.architectures.codec import MRF_KERNELS, CodecConfig
from vampnet_models.architectures.transformer import N_BUCKETS, TransformerConfig

Shapes = dict[str, tuple[int, ...]]


def codec_shapes(config: CodecConfig) -> Shapes:
    """Name to shape of every tensor of a codec checkpoint (LAC or DAC)."""
    shapes: Shapes = {}
    width = config.encoder_dim
    shapes |= _conv("encoder.block.0", width, 1, 7)
    for index, stride in enumerate(config.encoder_rates, start=1):
        prefix = f"encoder.block.{index}.block"
        for unit in range(3):
            shapes |= _residual_unit(f"{prefix}.{unit}", width)
        shapes |= _snake(f"{prefix}.3", width)
        shapes |= _conv(f"{prefix}.4", 2 * width, width, 2 * stride)
        width *= 2
    last = len(config.encoder_rates) + 1
    shapes |= _snake(f"encoder.block.{last}", width)
    shapes |= _conv(f"encoder.block.{last + 1}", config.latent, width, 3)
    for index in range(config.n_codebooks):
        prefix = f"quantizer.quantizers.{index}"
        shapes |= _conv(f"{prefix}.in_proj", config.codebook_dim, config.latent, 1)
        shapes |= _conv(f"{prefix}.out_proj", config.latent, config.codebook_dim, 1)
        shapes[f"{prefix}.codebook.weight"] = (config.codebook_size, config.codebook_dim)
    return shapes | _decoder_shapes(config)


def transformer_shapes(config: TransformerConfig) -> Shapes:
    """Name to shape of every tensor of a transformer checkpoint without LoRA."""
    width = config.embedding_dim
    channels = config.vocab_size * config.n_predicted
    shapes: Shapes = {
        "embedding.special.MASK": (config.n_codebooks, config.latent_dim),
        "embedding.out_proj.weight": (width, config.latent_dim * config.n_codebooks, 1),
        "embedding.out_proj.bias": (width,),
        "transformer.layers.0.self_attn.relative_attention_bias.weight": (
            N_BUCKETS,
            config.n_heads,
        ),
    }
    for layer in range(config.n_layers):
        prefix = f"transformer.layers.{layer}"
        shapes[f"{prefix}.norm_1.weight"] = (width,)
        for name in ("w_qs", "w_ks", "w_vs", "fc"):
            shapes[f"{prefix}.self_attn.{name}.weight"] = (width, width)
        shapes[f"{prefix}.norm_3.weight"] = (width,)
        shapes[f"{prefix}.feed_forward.w_1.weight"] = (4 * width, width)
        shapes[f"{prefix}.feed_forward.w_2.weight"] = (width, 2 * width)
    shapes["transformer.norm.weight"] = (width,)
    return shapes | _conv("classifier.layers.0", channels, width, 1)


def _decoder_shapes(config: CodecConfig) -> Shapes:
    width = config.decoder_dim
    shapes = _conv("decoder.model.0", width, config.latent, 7)
    for index, stride in enumerate(config.decoder_rates, start=1):
        prefix = f"decoder.model.{index}.block"
        shapes |= _snake(f"{prefix}.0", width)
        shapes |= _conv(f"{prefix}.1", width, width // 2, 2 * stride)
        shapes[f"{prefix}.1.bias"] = (width // 2,)
        width //= 2
        if config.kind == "lac":
            shapes |= _mrf_shapes(f"{prefix}.2.mrf_blocks", width)
        else:
            for unit in range(2, 5):
                shapes |= _residual_unit(f"{prefix}.{unit}", width)
    last = len(config.decoder_rates) + 1
    shapes |= _snake(f"decoder.model.{last}", width)
    return shapes | _conv(f"decoder.model.{last + 1}", 1, width, 7)


def _mrf_shapes(prefix: str, width: int) -> Shapes:
    shapes: Shapes = {}
    for branch, kernel in enumerate(MRF_KERNELS):
        for layer in range(3):
            inner = f"{prefix}.{branch}.block.{layer}.layer"
            for snake, conv in ((0, 1), (2, 3)):
                shapes |= _snake(f"{inner}.{snake}", width)
                shapes |= _conv(f"{inner}.{conv}", width, width, kernel)
    return shapes


def _residual_unit(prefix: str, width: int) -> Shapes:
    return {
        **_snake(f"{prefix}.block.0", width),
        **_conv(f"{prefix}.block.1", width, width, 7),
        **_snake(f"{prefix}.block.2", width),
        **_conv(f"{prefix}.block.3", width, width, 1),
    }


def _conv(prefix: str, first: int, second: int, kernel: int) -> Shapes:
    return {
        f"{prefix}.bias": (first,),
        f"{prefix}.weight_g": (first, 1, 1),
        f"{prefix}.weight_v": (first, second, kernel),
    }


def _snake(prefix: str, channels: int) -> Shapes:
    return {f"{prefix}.alpha": (1, channels, 1)}
