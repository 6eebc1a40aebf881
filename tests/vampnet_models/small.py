"""Small checkpoints of every kind: constructor arguments, tensors, files."""

from tests.vampnet_models.make_checkpoint import (
    lora_shapes,
    random_state,
    saved_model,
    write_saved,
)
from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.parameter_shapes import codec_shapes, transformer_shapes
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.architectures.wavebeat import WavebeatConfig, wavebeat_shapes

LAC = {
    "encoder_dim": 4,
    "encoder_rates": [2, 4],
    "decoder_dim": 12,
    "decoder_rates": [4, 2],
    "n_codebooks": 14,
    "codebook_size": 64,
    "codebook_dim": 3,
    "quantizer_dropout": False,
    "sample_rate": 44100,
}
DAC = {
    **LAC,
    "encoder_rates": [2, 3],
    "decoder_rates": [3, 2],
    "latent_dim": 10,
    "n_codebooks": 5,
    "codebook_dim": [3, 3, 3, 3, 3],
}
COARSE = {
    "n_heads": 2,
    "n_layers": 2,
    "r_cond_dim": 0,
    "n_codebooks": 4,
    "n_conditioning_codebooks": 0,
    "latent_dim": 3,
    "embedding_dim": 16,
    "vocab_size": 64,
    "noise_mode": "mask",
    "dropout": 0.1,
    "ctrl_dims": None,
    "cond_dim": 0,
}
C2F = {**COARSE, "n_codebooks": 14, "n_conditioning_codebooks": 4}
WAVEBEAT = {
    "nblocks": 3,
    "kernel_size": 5,
    "stride": 2,
    "dilation_growth": 3,
    "channel_growth": 1,
    "channel_width": 4,
    "stack_size": 2,
    "norm_type": "BatchNorm",
    "act_type": "PReLU",
}


def codec_state(kwargs, seed=0):
    kind = "dac" if "latent_dim" in kwargs else "lac"
    names = set(CodecConfig.__dataclass_fields__) & set(kwargs)
    plain = {n: tuple(v) if isinstance(v := kwargs[n], list) else v for n in names}
    plain["codebook_dim"] = 3
    return random_state(codec_shapes(CodecConfig(**plain, kind=kind)), seed)


def transformer_state(kwargs, seed=1, lora=True):
    names = set(TransformerConfig.__dataclass_fields__)
    shapes = transformer_shapes(TransformerConfig(**{n: kwargs[n] for n in names}))
    return random_state({**shapes, **(lora_shapes(shapes) if lora else {})}, seed)


def wavebeat_state(kwargs=WAVEBEAT, seed=3):
    names = set(WavebeatConfig.__dataclass_fields__)
    return random_state(wavebeat_shapes(WavebeatConfig(**{n: kwargs[n] for n in names})), seed)


def write_codec(path, kwargs=LAC, **options):
    return write_saved(path, saved_model(kwargs, codec_state(kwargs), **options))


def write_transformer(path, kwargs=COARSE, **options):
    return write_saved(path, saved_model(kwargs, transformer_state(kwargs), **options))


def codebooks(state, count):
    """The codec's codebooks as a list of arrays."""
    return [state[f"quantizer.quantizers.{n}.codebook.weight"] for n in range(count)]
