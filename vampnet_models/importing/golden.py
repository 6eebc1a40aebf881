"""Models against the recorded answers of the original classes (a golden `.npz`).

Keys: `codec_audio` -> `codec_codes`, `codec_codes` -> `codec_decoded`; for coarse and c2f
`X_codes_T` and `X_mask_T` -> `X_logits_T` `[1, vocab, frames * predicted]`, whose position is
frame * predicted + codebook.
"""

from __future__ import annotations

import re
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.importing.verification import (
    Figure,
    Verification,
    codes_figure,
    error_figure,
    first_output,
)
from vampnet_models.onnxfile.session import Array
from vampnet_models.records.npz import read_npz
from vampnet_models.spec import FILE_STEMS, Role

_TOLERANCE = 1e-4
"""Largest absolute difference of audio samples and of logits."""


def verify_golden(folder: Path, golden: Path) -> Verification:
    """Run the models of a folder on the golden inputs and compare.

    Models that the folder lacks are passed over. Raises InputError for an unreadable golden
    file, one whose arrays do not belong to these models, or one that has nothing for them.
    """
    values = read_npz(golden)
    figures: list[Figure] = []
    encoder = folder / f"{FILE_STEMS[Role.CODEC_ENCODER]}.onnx"
    if encoder.is_file() and {"codec_audio", "codec_codes"} <= values.keys():
        codes = first_output(encoder, {"audio": values["codec_audio"]}, f"{golden}: codec_audio")
        figures.append(codes_figure("codec_codes", encoder, codes, values["codec_codes"]))
    decoder = folder / f"{FILE_STEMS[Role.CODEC_DECODER]}.onnx"
    if decoder.is_file() and {"codec_codes", "codec_decoded"} <= values.keys():
        audio = first_output(decoder, {"codes": values["codec_codes"]}, f"{golden}: codec_codes")
        figures.append(
            error_figure("codec_decoded", decoder, audio, values["codec_decoded"], _TOLERANCE)
        )
    for role in (Role.COARSE, Role.C2F):
        path = folder / f"{FILE_STEMS[role]}.onnx"
        for key in values if path.is_file() else ():
            match = re.fullmatch(rf"{role.value}_logits_(\w+)", key)
            if match is None:
                continue
            names = {name: f"{role.value}_{name}_{match[1]}" for name in ("codes", "mask")}
            absent = [name for name in names.values() if name not in values]
            if absent:
                raise InputError(f"{golden}: has {key} without {', '.join(absent)}")
            feeds = {name: values[source] for name, source in names.items()}
            logits = first_output(path, feeds, f"{golden}: {key}")
            figures.append(
                error_figure(key, path, _original_layout(logits), values[key], _TOLERANCE)
            )
    if not figures:
        raise InputError(
            f"{golden}: holds nothing for the models of {folder}; expected keys such as "
            "codec_audio and codec_codes, coarse_codes_100, coarse_mask_100 and coarse_logits_100"
        )
    return Verification(golden.name, tuple(figures))


def _original_layout(logits: Array) -> Array:
    """`[batch, predicted, frames, vocab]` -> `[batch, vocab, frames * predicted]`."""
    batch, predicted, frames, vocab = logits.shape
    return logits.transpose(0, 3, 2, 1).reshape(batch, vocab, frames * predicted)
