"""Programme loudness by ITU-R BS.1770-4, for one channel, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TARGET_LUFS = -24.0
"""What the original normalises to before it encodes."""

_GATE_LUFS = -70.0
"""The absolute gate of BS.1770; also the loudness that anything quieter is taken to have."""

_HOP_S = 0.1
_HOPS_PER_BLOCK = 4
"""BS.1770's blocks of 400 ms, which overlap by three quarters."""

_RESPONSE_SAMPLES = 1 << 15
"""0.7 s at 44.1 kHz: the lowest filter, a high-pass at 38 Hz, has long died away."""

_CHUNK_SAMPLES = 1 << 18


def integrated_loudness(samples: NDArray[np.float32], rate_hz: int) -> float:
    """Gated loudness in LUFS of mono `samples` [n]; -inf when nothing passes the gate.

    Blocks of 400 ms overlap by 75 %; a signal shorter than one block counts as one block that
    silence completes. BS.1770-4 counts one channel once, so a full-scale sine of 997 Hz has
    -3.01 LUFS.
    """
    hop = round(_HOP_S * rate_hz)
    weighted = _k_weighted(samples, rate_hz)
    n_hops = max(_HOPS_PER_BLOCK, len(weighted) // hop)
    missing = max(0, n_hops * hop - len(weighted))
    padded = np.pad(weighted, (0, missing)) if missing else weighted
    hops = padded[: n_hops * hop].reshape(n_hops, hop)
    per_hop = np.einsum("ij,ij->i", hops, hops, dtype=np.float64) / hop
    blocks = np.convolve(per_hop, np.full(_HOPS_PER_BLOCK, 1 / _HOPS_PER_BLOCK), mode="valid")
    loud = blocks[blocks > _power(_GATE_LUFS)]
    if not loud.size:
        return float("-inf")
    # The relative gate lies 10 LU below the mean of what passed the absolute one.
    gated = loud[loud > loud.mean() / 10]
    return float(_lufs(gated.mean()))


def normalise_loudness(
    samples: NDArray[np.float32], rate_hz: int, target_lufs: float = TARGET_LUFS
) -> NDArray[np.float32]:
    """Scale mono `samples` [n] to `target_lufs`, then down to a peak of at most 1.0.

    What lies below the absolute gate is lifted as if it were at the gate: silence stays silence
    and faint noise is not blown up without bound.
    """
    loudness = max(integrated_loudness(samples, rate_hz), _GATE_LUFS)
    gain = 10 ** ((target_lufs - loudness) / 20)
    peak = float(max(np.max(samples, initial=0.0), -np.min(samples, initial=0.0))) * gain
    if peak > 1.0:
        gain /= peak
    # The long ones are half an hour: no copy but the one that is returned.
    scaled: NDArray[np.float32] = samples * np.float32(gain)
    return np.clip(scaled, -1.0, 1.0, out=scaled)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _lufs(power: float) -> float:
    return float(-0.691 + 10 * np.log10(power))


def _k_weighted(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Overlap-add with the filters' impulse response, which has died away by its end."""
    response = np.fft.irfft(_k_response(rate_hz, _RESPONSE_SAMPLES))
    size = _CHUNK_SAMPLES + _RESPONSE_SAMPLES
    spectrum = np.fft.rfft(response, size)
    out = np.zeros(len(samples), dtype=np.float32)
    for start in range(0, len(samples), _CHUNK_SAMPLES):
        chunk = samples[start : start + _CHUNK_SAMPLES].astype(np.float64)
        part = np.fft.irfft(np.fft.rfft(chunk, size) * spectrum, size)
        stop = min(len(samples), start + size)
        out[start:stop] += part[: stop - start].astype(np.float32)
    return out


def _k_response(rate_hz: int, n: int) -> NDArray[np.complex128]:
    """The frequency response of BS.1770's two biquads at the rfft frequencies of size n.

    The standard lists coefficients for 48 kHz only; these analogue parameters (a shelf of 4 dB
    and a high-pass) give them back through the bilinear transform, and serve every other rate.
    """
    z = np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n)
    shelf_hz, shelf_db, shelf_q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * shelf_hz / rate_hz)
    high = 10 ** (shelf_db / 20)
    band = high**0.4996667741545416
    shelf = _biquad(
        z,
        (high + band * k / shelf_q + k * k, 2 * (k * k - high), high - band * k / shelf_q + k * k),
        (1 + k / shelf_q + k * k, 2 * (k * k - 1), 1 - k / shelf_q + k * k),
    )
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * pass_hz / rate_hz)
    # The standard's numerator (1, -2, 1) stands beside a denominator that begins with 1.
    head = 1 + k / pass_q + k * k
    denominator = (head, 2 * (k * k - 1), 1 - k / pass_q + k * k)
    return shelf * _biquad(z, (head, -2 * head, head), denominator)


def _biquad(
    z: NDArray[np.complex128],
    numerator: tuple[float, float, float],
    denominator: tuple[float, float, float],
) -> NDArray[np.complex128]:
    b, a = numerator, denominator
    return (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
