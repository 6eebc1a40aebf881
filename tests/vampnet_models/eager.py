"""The architecture once more, written from its description and nothing else: plain numpy.

Independent of the graph builders: it works in float64 on a checkpoint's stored tensors (weight
norm and LoRA unfolded) and answers in the original project's layouts.
"""

import math

import numpy as np


def encode(kwargs, tensors, audio):
    """`audio [1, samples]` -> codes `[n_codebooks, frames]` and the latent `[channels, frames]`."""
    is_dac = not any("mrf_blocks" in name for name in tensors)
    hop = math.prod(kwargs["encoder_rates" if is_dac else "decoder_rates"])
    x = np.pad(audio.astype(np.float64), ((0, 0), (0, -audio.shape[1] % hop)))
    x = _conv(tensors, "encoder.block.0", x, padding=3)
    for index, stride in enumerate(kwargs["encoder_rates"], start=1):
        prefix = f"encoder.block.{index}.block"
        for unit, dilation in enumerate((1, 3, 9)):
            x = _residual_unit(tensors, f"{prefix}.{unit}", x, dilation)
        x = _snake(tensors, f"{prefix}.3", x)
        padding = math.ceil(stride / 2) if is_dac else stride // 2
        x = _conv(tensors, f"{prefix}.4", x, stride=stride, padding=padding)
    last = len(kwargs["encoder_rates"]) + 1
    x = _snake(tensors, f"encoder.block.{last}", x)
    latent = _conv(tensors, f"encoder.block.{last + 1}", x, padding=1)
    return _quantize(kwargs, tensors, latent), latent


def decode(kwargs, tensors, codes):
    """Codes `[n_codebooks, frames]` -> audio `[1, samples]`."""
    is_dac = not any("mrf_blocks" in name for name in tensors)
    x = sum(_codebook_latent(tensors, n, codes[n]) for n in range(kwargs["n_codebooks"]))
    x = _conv(tensors, "decoder.model.0", x, padding=3)
    for index, stride in enumerate(kwargs["decoder_rates"], start=1):
        prefix = f"decoder.model.{index}.block"
        x = _snake(tensors, f"{prefix}.0", x)
        padding = math.ceil(stride / 2) if is_dac else stride // 2
        x = _conv_transpose(tensors, f"{prefix}.1", x, stride, padding)
        if is_dac:
            for unit, dilation in ((2, 1), (3, 3), (4, 9)):
                x = _residual_unit(tensors, f"{prefix}.{unit}", x, dilation)
        else:
            branches = [
                _mrf_branch(tensors, f"{prefix}.2.mrf_blocks.{branch}", x, kernel)
                for branch, kernel in enumerate((3, 7, 11))
            ]
            x = np.mean(branches, axis=0)
    last = len(kwargs["decoder_rates"]) + 1
    x = _snake(tensors, f"decoder.model.{last}", x)
    return np.tanh(_conv(tensors, f"decoder.model.{last + 1}", x, padding=3))


def logits(kwargs, tensors, codebooks, codes, mask):
    """Codes and mask `[n, frames]` -> logits `[vocab, frames * predicted]`, as the original's.

    `codebooks [n, vocab, latent]` are the codec's. Position = frame * predicted + codebook.
    """
    vocab, count = kwargs["vocab_size"], kwargs["n_codebooks"]
    rows = []
    for n in range(count):
        table = np.concatenate([codebooks[n], tensors["embedding.special.MASK"][n : n + 1]])
        rows.append(table[np.where(mask[n] == 1, vocab, codes[n])].T)
    x = np.concatenate(rows).astype(np.float64)
    projection = tensors["embedding.out_proj.weight"][:, :, 0].astype(np.float64)
    x = (projection @ x + tensors["embedding.out_proj.bias"][:, None]).T
    bias = _position_bias(tensors, len(x), kwargs["n_heads"])
    for layer in range(kwargs["n_layers"]):
        prefix = f"transformer.layers.{layer}"
        normed = _rms_norm(tensors, f"{prefix}.norm_1", x)
        x = x + _attention(tensors, f"{prefix}.self_attn", normed, bias, kwargs["n_heads"])
        normed = _rms_norm(tensors, f"{prefix}.norm_3", x)
        first, second = np.split(_linear(tensors, f"{prefix}.feed_forward.w_1", normed), 2, axis=1)
        x = x + _linear(tensors, f"{prefix}.feed_forward.w_2", first * _gelu_tanh(second))
    x = _rms_norm(tensors, "transformer.norm", x)
    weight = _weight(tensors, "classifier.layers.0")[:, :, 0]
    channels = weight @ x.T + tensors["classifier.layers.0.bias"][:, None]
    predicted = count - kwargs["n_conditioning_codebooks"]
    by_class = channels.reshape(vocab, predicted, len(x))
    return by_class.transpose(0, 2, 1).reshape(vocab, len(x) * predicted)


def beats(kwargs, tensors, audio):
    """The beat tracker: `audio [1, samples]` -> logits `[2, frames]`."""
    x = audio.astype(np.float64)
    for n in range(kwargs["nblocks"]):
        dilation = kwargs["dilation_growth"] ** (n % kwargs["stack_size"])
        padding = (kwargs["kernel_size"] - 1) * dilation // 2
        stride = kwargs["stride"]
        y = _conv(tensors, f"blocks.{n}.conv1", x, stride, dilation, padding)
        y = _batch_norm(tensors, f"blocks.{n}.norm1", y)
        y = np.where(y > 0, y, tensors[f"blocks.{n}.act1.weight"][:, None] * y)
        residual = _conv(tensors, f"blocks.{n}.res_conv", x, stride)
        x = y + _batch_norm(tensors, f"blocks.{n}.res_norm", residual)
    return _conv(tensors, "output", x)


def _weight(tensors, prefix):
    if f"{prefix}.weight_v" not in tensors:
        return tensors[f"{prefix}.weight"].astype(np.float64)
    v = tensors[f"{prefix}.weight_v"].astype(np.float64)
    norms = [np.linalg.norm(row) for row in v]
    return tensors[f"{prefix}.weight_g"] * v / np.array(norms).reshape(-1, 1, 1)


def _conv(tensors, prefix, x, stride=1, dilation=1, padding=0):
    weight = _weight(tensors, prefix)
    kernel = weight.shape[2]
    x = np.pad(x, ((0, 0), (padding, padding)))
    n = (x.shape[1] - dilation * (kernel - 1) - 1) // stride + 1
    y = np.tile(tensors[f"{prefix}.bias"].astype(np.float64)[:, None], (1, n))
    for tap in range(kernel):
        start = tap * dilation
        y += weight[:, :, tap] @ x[:, start : start + (n - 1) * stride + 1 : stride]
    return y


def _conv_transpose(tensors, prefix, x, stride, padding):
    weight = _weight(tensors, prefix)
    kernel = weight.shape[2]
    y = np.zeros((weight.shape[1], (x.shape[1] - 1) * stride + kernel))
    for tap in range(kernel):
        y[:, tap : tap + (x.shape[1] - 1) * stride + 1 : stride] += weight[:, :, tap].T @ x
    return y[:, padding : y.shape[1] - padding] + tensors[f"{prefix}.bias"][:, None]


def _snake(tensors, prefix, x):
    alpha = tensors[f"{prefix}.alpha"][0].astype(np.float64)
    return x + np.sin(alpha * x) ** 2 / (alpha + 1e-9)


def _residual_unit(tensors, prefix, x, dilation):
    y = _snake(tensors, f"{prefix}.block.0", x)
    y = _conv(tensors, f"{prefix}.block.1", y, dilation=dilation, padding=3 * dilation)
    y = _snake(tensors, f"{prefix}.block.2", y)
    return x + _conv(tensors, f"{prefix}.block.3", y)


def _mrf_branch(tensors, prefix, x, kernel):
    for layer, dilation in enumerate((1, 3, 5)):
        inner = f"{prefix}.block.{layer}.layer"
        padding = (kernel * dilation - dilation) // 2
        y = _snake(tensors, f"{inner}.0", x)
        y = _conv(tensors, f"{inner}.1", y, dilation=dilation, padding=padding)
        y = _snake(tensors, f"{inner}.2", y)
        x = x + _conv(tensors, f"{inner}.3", y, padding=(kernel - 1) // 2)
    return x


def _quantize(kwargs, tensors, latent):
    residual, codes = latent, []
    for n in range(kwargs["n_codebooks"]):
        book = tensors[f"quantizer.quantizers.{n}.codebook.weight"].astype(np.float64)
        points = _conv(tensors, f"quantizer.quantizers.{n}.in_proj", residual).T
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        rows = book / np.maximum(np.linalg.norm(book, axis=1, keepdims=True), 1e-12)
        distances = ((points[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2)
        codes.append(distances.argmin(axis=1))
        residual = residual - _codebook_latent(tensors, n, codes[-1])
    return np.stack(codes)


def _codebook_latent(tensors, n, codes):
    rows = tensors[f"quantizer.quantizers.{n}.codebook.weight"][codes].astype(np.float64)
    return _conv(tensors, f"quantizer.quantizers.{n}.out_proj", rows.T)


def _linear(tensors, prefix, x):
    weight = tensors[f"{prefix}.weight"].astype(np.float64)
    if f"{prefix}.lora_A" in tensors:
        down, up = tensors[f"{prefix}.lora_A"], tensors[f"{prefix}.lora_B"]
        return x @ weight.T + (x @ down.T.astype(np.float64)) @ up.T / len(down)
    return x @ weight.T


def _attention(tensors, prefix, x, bias, heads):
    frames, width = x.shape
    query, key, value = (
        _linear(tensors, f"{prefix}.{name}", x).reshape(frames, heads, width // heads)
        for name in ("w_qs", "w_ks", "w_vs")
    )
    mixed = np.empty_like(query)
    for head in range(heads):
        scores = query[:, head] @ key[:, head].T / math.sqrt(width // heads) + bias[head]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed[:, head] = weights / weights.sum(axis=1, keepdims=True) @ value[:, head]
    return _linear(tensors, f"{prefix}.fc", mixed.reshape(frames, width))


def _position_bias(tensors, frames, heads):
    table = tensors["transformer.layers.0.self_attn.relative_attention_bias.weight"]
    bias = np.empty((heads, frames, frames))
    for query in range(frames):
        for key in range(frames):
            bias[:, query, key] = table[_bucket(key - query)]
    return bias


def _bucket(offset):
    """T5: 32 buckets, half for keys behind the query; 8 exact ones, then logarithmic to 128."""
    bucket, distance = (16 if offset > 0 else 0), abs(offset)
    if distance < 8:
        return bucket + distance
    return bucket + min(8 + int(math.log(distance / 8) / math.log(128 / 8) * 8), 15)


def _rms_norm(tensors, prefix, x):
    mean_square = (x**2).mean(axis=1, keepdims=True)
    return x / np.sqrt(mean_square + 1e-6) * tensors[f"{prefix}.weight"]


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _batch_norm(tensors, prefix, x):
    weight, bias, mean, variance = (
        tensors[f"{prefix}.{part}"].astype(np.float64)[:, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias
