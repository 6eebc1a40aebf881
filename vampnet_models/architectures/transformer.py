"""The masked-token transformers (coarse, c2f): checkpoint tensors to an ONNX graph.

Layer names are the checkpoint's. Sources: Flores Garcia et al. 2023, "VampNet"; the relative
position buckets are those of Raffel et al. 2020 (T5), bidirectional.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import onnx_ir as ir

from vampnet_models.architectures.graph_writer import Array, GraphBuilder
from vampnet_models.architectures.layers import normalised_weight, plain, weight_norm_names
from vampnet_models.checkpoints.tensors import Ledger, require_shape
from vampnet_models.spec import CONFIG_KEY, ROLE_KEY, WEIGHTS_KEY, Role

_RMS_EPSILON = 1e-6
N_BUCKETS = 32
MAX_DISTANCE = 128
LORA_ALPHA = 1.0
"""loralib's default; the product is scaled by alpha over the rank (8 in VampNet)."""


@dataclass(frozen=True)
class TransformerConfig:
    """A transformer's constructor arguments, under the names that its checkpoints use."""

    n_heads: int
    n_layers: int
    n_codebooks: int
    n_conditioning_codebooks: int
    latent_dim: int
    embedding_dim: int
    vocab_size: int

    @property
    def n_predicted(self) -> int:
        """Codebooks that the model predicts; the others pass through."""
        return self.n_codebooks - self.n_conditioning_codebooks

    @property
    def role(self) -> Role:
        """Coarse models are conditioned on nothing."""
        return Role.C2F if self.n_conditioning_codebooks else Role.COARSE


def build_transformer(
    config: TransformerConfig, tensors: Ledger, codec: Ledger, weights: str = "unknown"
) -> ir.Model:
    """`codes, mask int64 [batch, n, frames]` -> `logits`, `tokens`.

    `mask` is 1 where a code is to be predicted. `logits float32 [batch, predicted, frames,
    vocab]`; `tokens int64 [batch, n, frames]` is the argmax where masked and the given code
    elsewhere. `codec` provides the codebooks that the embedding looks codes up in. Raises
    InputError that names a missing or wrongly shaped tensor.
    """
    b = GraphBuilder(config.role.value)
    shape: list[int | str] = ["batch", config.n_codebooks, "frames"]
    codes = b.input("codes", ir.DataType.INT64, shape)
    mask = b.input("mask", ir.DataType.INT64, shape)
    masked = b.op("Cast", mask, attributes={"to": ir.DataType.BOOL})
    x = _embed(b, codes, masked, config, tensors, codec)
    bias = _position_bias(b, codes, config, tensors)
    for layer in range(config.n_layers):
        prefix = f"transformer.layers.{layer}"
        attended = _attention(
            b, _rms_norm(b, x, tensors, f"{prefix}.norm_1", config), bias, tensors, prefix, config
        )
        x = b.op("Add", x, attended, name=f"{prefix}/self_attn/Add")
        fed = _feed_forward(
            b, _rms_norm(b, x, tensors, f"{prefix}.norm_3", config), tensors, prefix, config
        )
        x = b.op("Add", x, fed, name=f"{prefix}/feed_forward/Add")
    x = _rms_norm(b, x, tensors, "transformer.norm", config)
    logits = _classifier(b, x, tensors, config)
    tokens = _choose(b, logits, codes, masked, config)
    b.output(
        logits,
        "logits",
        ir.DataType.FLOAT,
        ["batch", config.n_predicted, "frames", config.vocab_size],
    )
    b.output(tokens, "tokens", ir.DataType.INT64, shape)
    metadata = {
        ROLE_KEY: config.role.value,
        CONFIG_KEY: json.dumps(asdict(config)),
        WEIGHTS_KEY: weights,
    }
    return b.finish(metadata)


def position_buckets(max_distance: int = MAX_DISTANCE) -> Array:
    """T5's bucket of every offset (key minus query) from -max_distance to max_distance.

    int64 [2 * max_distance + 1]. Half of the buckets are for keys after the query; of each
    half, half are exact and the rest logarithmic. Beyond the ends the bucket stays the same.
    """
    offsets = np.arange(-max_distance, max_distance + 1)
    half = N_BUCKETS // 2
    exact = half // 2
    distance = np.abs(offsets)
    scaled = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    scaled = scaled / np.float32(math.log(MAX_DISTANCE / exact)) * np.float32(half - exact)
    logarithmic = np.minimum(exact + scaled.astype(np.int64), half - 1)
    return np.where(offsets > 0, half, 0) + np.where(distance < exact, distance, logarithmic)


def _embed(
    b: GraphBuilder,
    codes: ir.Value,
    masked: ir.Value,
    config: TransformerConfig,
    tensors: Ledger,
    codec: Ledger,
) -> ir.Value:
    """Codebook rows (or the learned MASK row) of every codebook, concatenated and projected."""
    dim, size = config.latent_dim, config.vocab_size
    special = "embedding.special.MASK"
    require_shape(tensors, special, (config.n_codebooks, dim))
    with b.scope("embedding"):
        mask_token = b.constant(np.array(size, np.int64), "mask_token")
        tokens = b.op("Where", masked, mask_token, codes)
        rows = []
        for index in range(config.n_codebooks):
            table = _embedding_table(b, index, config, tensors, codec)
            position = b.constant(np.array(index, np.int64), f"index{index}")
            one = b.op("Gather", tokens, position, attributes={"axis": 1})
            rows.append(b.op("Gather", table, one, attributes={"axis": 0}))
        latents = b.op("Concat", *rows, attributes={"axis": 2})
        columns = b.op("Transpose", latents, attributes={"perm": [0, 2, 1]})
        name = "embedding.out_proj"
        width = config.embedding_dim
        weight = plain(b, tensors, f"{name}.weight", (width, dim * config.n_codebooks, 1))
        offset = plain(b, tensors, f"{name}.bias", (width,))
        projected = b.op(
            "Conv", columns, weight, offset, name="out_proj/Conv", attributes={"kernel_shape": [1]}
        )
        return b.op("Transpose", projected, attributes={"perm": [0, 2, 1]})


def _embedding_table(
    b: GraphBuilder, index: int, config: TransformerConfig, tensors: Ledger, codec: Ledger
) -> ir.Value:
    """One codebook `[vocab, latent]` of the codec, extended by the MASK row."""
    source = f"quantizer.quantizers.{index}.codebook.weight"
    special = "embedding.special.MASK"
    require_shape(codec, source, (config.vocab_size, config.latent_dim))
    target = f"embedding.{index}.weight"
    codec.use(source, f"{config.role.value}:{target}")
    tensors.fold(special, target)

    def read() -> Array:
        return np.concatenate([codec.read(source), tensors.read(special)[index : index + 1]])

    return b.weight(target, (config.vocab_size + 1, config.latent_dim), read)


def _position_bias(
    b: GraphBuilder, codes: ir.Value, config: TransformerConfig, tensors: Ledger
) -> ir.Value:
    """The bias `[1, heads, frames, frames]` (query, key) that every layer adds to its scores."""
    name = "transformer.layers.0.self_attn.relative_attention_bias"
    table = plain(b, tensors, f"{name}.weight", (N_BUCKETS, config.n_heads))
    with b.scope(name):
        frames = b.op("Shape", codes, attributes={"start": 2, "end": 3})
        count = b.op("Squeeze", frames, b.ints(0))
        zero, one = (b.constant(np.array(v, np.int64), str(v)) for v in (0, 1))
        places = b.op("Range", zero, count, one)
        keys = b.op("Unsqueeze", places, b.ints(0))
        queries = b.op("Unsqueeze", places, b.ints(1))
        limit = np.array(MAX_DISTANCE, np.int64)
        offsets = b.op(
            "Clip",
            b.op("Sub", keys, queries),
            b.constant(-limit, "min_offset"),
            b.constant(limit, "max_offset"),
        )
        index = b.op("Add", offsets, b.constant(limit, "max_offset"))
        buckets = b.constant(position_buckets(), "buckets")
        bucket = b.op("Gather", buckets, index, attributes={"axis": 0})
        bias = b.op("Gather", table, bucket, attributes={"axis": 0})
        heads_first = b.op("Transpose", bias, attributes={"perm": [2, 0, 1]})
        return b.op("Unsqueeze", heads_first, b.ints(0))


def _attention(
    b: GraphBuilder,
    x: ir.Value,
    bias: ir.Value,
    tensors: Ledger,
    layer: str,
    config: TransformerConfig,
) -> ir.Value:
    """Multi-head self-attention over all frames with the shared position bias."""
    width, heads = config.embedding_dim, config.n_heads
    prefix = f"{layer}.self_attn"
    square = (width, width)

    def heads_of(name: str, perm: list[int]) -> ir.Value:
        projected = _linear(b, x, tensors, f"{prefix}.{name}", square)
        with b.scope(f"{prefix}.{name}"):
            split = b.op("Reshape", projected, b.ints(0, 0, heads, width // heads))
            return b.op("Transpose", split, attributes={"perm": perm})

    query = heads_of("w_qs", [0, 2, 1, 3])
    key = heads_of("w_ks", [0, 2, 3, 1])
    value = heads_of("w_vs", [0, 2, 1, 3])
    with b.scope(prefix):
        scale = b.scalar(1 / math.sqrt(width // heads))
        scores = b.op("Mul", b.op("MatMul", query, key, name="scores"), scale)
        weights = b.op("Softmax", b.op("Add", scores, bias), attributes={"axis": -1})
        mixed = b.op("MatMul", weights, value, name="mix")
        merged = b.op(
            "Reshape",
            b.op("Transpose", mixed, attributes={"perm": [0, 2, 1, 3]}),
            b.ints(0, 0, width),
        )
    return _linear(b, merged, tensors, f"{prefix}.fc", square)


def _feed_forward(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, layer: str, config: TransformerConfig
) -> ir.Value:
    """Gated GELU: `p1 * gelu_tanh(p2)` of the two halves, then back to the model's width."""
    width, prefix = config.embedding_dim, f"{layer}.feed_forward"
    inner = _linear(b, x, tensors, f"{prefix}.w_1", (4 * width, width))
    with b.scope(prefix):
        linear_half, gate = b.ops(
            "Split", inner, attributes={"axis": -1, "num_outputs": 2}, n_outputs=2
        )
        gelu = b.op("Gelu", gate, attributes={"approximate": "tanh"})
        gated = b.op("Mul", linear_half, gelu)
    return _linear(b, gated, tensors, f"{prefix}.w_2", (width, 2 * width))


def _linear(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, prefix: str, shape: tuple[int, int]
) -> ir.Value:
    """A bias-free Linear as MatMul; the weight `[out, in]` is stored transposed, LoRA folded in."""
    source = f"{prefix}.weight"
    require_shape(tensors, source, shape)
    low, high = f"{prefix}.lora_A", f"{prefix}.lora_B"
    has_lora = high in tensors.names() and not {low, high} & tensors.left()
    rank = tensors.shape(low)[0] if has_lora else 0
    if not has_lora:
        tensors.use(source, source)
    else:
        tensors.fold(source, source)
        require_shape(tensors, low, (rank, shape[1]))
        require_shape(tensors, high, (shape[0], rank))
        tensors.fold(low, source)
        tensors.fold(high, source)

    def read() -> Array:
        weight = tensors.read(source)
        if has_lora:
            weight = weight + (tensors.read(high) @ tensors.read(low)) * np.float32(
                LORA_ALPHA / rank
            )
        return weight.T

    return b.op("MatMul", x, b.weight(source, shape[::-1], read), name=f"{prefix}/MatMul")


def _rms_norm(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, prefix: str, config: TransformerConfig
) -> ir.Value:
    """Root-mean-square norm over the channels (Zhang and Sennrich 2019)."""
    weight = plain(b, tensors, f"{prefix}.weight", (config.embedding_dim,))
    with b.scope(prefix):
        mean = b.op("ReduceMean", b.op("Mul", x, x), b.ints(-1), attributes={"keepdims": 1})
        root = b.op("Sqrt", b.op("Add", mean, b.scalar(_RMS_EPSILON)))
        return b.op("Mul", b.op("Div", x, root), weight)


def _classifier(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, config: TransformerConfig
) -> ir.Value:
    """Logits `[batch, predicted, frames, vocab]` from `[batch, frames, width]`.

    The checkpoint's channels have the class as the slow axis (class * predicted + codebook);
    the rows are reordered once here, so that no transpose of the logits is needed at run time.
    """
    prefix = "classifier.layers.0"
    vocab, predicted, width = config.vocab_size, config.n_predicted, config.embedding_dim
    channels = vocab * predicted
    gain, direction = weight_norm_names(tensors, prefix)
    plain_name = f"{prefix}.weight"
    is_plain = plain_name in tensors.names()
    for name in (plain_name,) if is_plain else (gain, direction):
        tensors.fold(name, plain_name)
    require_shape(tensors, plain_name if is_plain else direction, (channels, width, 1))
    require_shape(tensors, f"{prefix}.bias", (channels,))
    tensors.use(f"{prefix}.bias", f"{prefix}.bias")

    def by_codebook(values: Array) -> Array:
        split = values.reshape(vocab, predicted, *values.shape[1:])
        return np.swapaxes(split, 0, 1).reshape(values.shape)

    def read() -> Array:
        if is_plain:
            return by_codebook(tensors.read(plain_name))
        return by_codebook(normalised_weight(tensors, gain, direction))

    weight = b.weight(plain_name, (channels, width, 1), read)
    bias = b.weight(
        f"{prefix}.bias", (channels,), lambda: by_codebook(tensors.read(f"{prefix}.bias"))
    )
    with b.scope("classifier"):
        columns = b.op("Transpose", x, attributes={"perm": [0, 2, 1]})
        scores = b.op("Conv", columns, weight, bias, attributes={"kernel_shape": [1]})
        rows = b.op("Transpose", scores, attributes={"perm": [0, 2, 1]})
        split = b.op("Reshape", rows, b.ints(0, 0, predicted, vocab))
        return b.op("Transpose", split, attributes={"perm": [0, 2, 1, 3]})


def _choose(
    b: GraphBuilder,
    logits: ir.Value,
    codes: ir.Value,
    masked: ir.Value,
    config: TransformerConfig,
) -> ir.Value:
    """The most likely token where masked, the given code elsewhere."""
    with b.scope("tokens"):
        best = b.op("ArgMax", logits, attributes={"axis": -1, "keepdims": 0})
        kept = config.n_conditioning_codebooks
        if kept:
            given = b.op("Slice", codes, b.ints(0), b.ints(kept), b.ints(1))
            best = b.op("Concat", given, best, attributes={"axis": 1})
        return b.op("Where", masked, best, codes)
