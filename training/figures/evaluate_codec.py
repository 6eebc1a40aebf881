"""How well the codec reconstructs, and how much of its codebooks it uses."""

from __future__ import annotations

import numpy as np
import torch

from optimize.truth.audio_metrics import si_sdr_db
from training.data.audio import Audio
from training.data.tokens import encode
from training.figures.metrics import log_mel_distance_db, usage
from training.figures.modulation import frame_buzz_db, level_slope
from training.figures.records import CodecFigures
from training.networks.codec import Codec
from vampnet_models.chain.tokens import Codes


def reconstruct(codec: Codec, audio: Audio, codes: Codes) -> Audio:
    """Codes `[n, frames]` decoded and cut to the length of `audio`."""
    decoded: Audio = codec.decode(torch.from_numpy(codes)[None])[0, 0, : len(audio)].numpy()
    return decoded


def codec_figures(codec: Codec, untrained: Codec, audio: Audio) -> CodecFigures:
    """Reconstruction of one recording by the trained and by an untrained codec."""
    codes = encode(codec, audio)
    decoded = {str(n): reconstruct(codec, audio, codes[:n]) for n in (14, 4)}
    raw = reconstruct(untrained, audio, encode(untrained, audio))
    return {
        "si_sdr_db": {n: si_sdr_db(audio, x) for n, x in decoded.items()},
        "log_mel_db": {n: log_mel_distance_db(x, audio) for n, x in decoded.items()},
        "level_slope": {n: level_slope(x, audio) for n, x in decoded.items()},
        "frame_buzz_db": {n: frame_buzz_db(x) for n, x in decoded.items()},
        "own_frame_buzz_db": frame_buzz_db(audio),
        "untrained_si_sdr_db": si_sdr_db(audio, raw),
        "untrained_log_mel_db": log_mel_distance_db(raw, audio),
        "silence_log_mel_db": log_mel_distance_db(np.zeros_like(audio), audio),
    }


def usage_figures(tracks: list[Codes]) -> dict[str, list[float]]:
    """Perplexity and share of used entries per codebook over all tracks."""
    perplexity, share = usage(np.concatenate(tracks, axis=1), 1024)
    return {"perplexity": perplexity.tolist(), "share": share.tolist()}
