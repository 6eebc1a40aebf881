"""Models against the recorded answers of the original classes (a golden `.npz`).

Keys: `codec_audio` -> `codec_codes`, `codec_codes` -> `codec_decoded`; for coarse and c2f
`X_codes_T` and `X_mask_T` -> `X_logits_T` `[1, vocab, frames * predicted]`, whose position is
frame * predicted + codebook.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.session import Array, open_session
from vampnet_models.spec import FILE_STEMS, Role

TOLERANCE = 1e-4
"""Largest absolute difference of audio samples and of logits."""


@dataclass(frozen=True)
class GoldenFigure:
    """One comparison. `value` is a share of equal codes, or a largest absolute difference."""

    key: str
    model: str
    measure: str
    value: float
    limit: float
    passed: bool

    def line(self) -> str:
        """The figure in words."""
        limit = f"{'kept' if self.passed else 'MISSED'}: {self.limit:g}"
        if self.measure == "codes equal":
            return f"{self.model} {self.key}: {100 * self.value:.4g} % of the codes equal ({limit})"
        return f"{self.model} {self.key}: {self.measure} {self.value:.3g} ({limit})"


@dataclass(frozen=True)
class GoldenReport:
    """All comparisons of one golden file."""

    golden: str
    figures: tuple[GoldenFigure, ...]

    def require(self) -> None:
        """Raise PromiseMissed that names every figure outside its limit."""
        missed = [figure.line() for figure in self.figures if not figure.passed]
        if missed:
            raise PromiseMissed(f"{self.golden}: {'; '.join(missed)}")


def verify_golden(folder: Path, golden: Path) -> GoldenReport:
    """Run the models of a folder on the golden inputs and compare.

    Models that the folder lacks are passed over. Raises InputError for an unreadable golden
    file, one whose arrays do not belong to these models, or one that has nothing for them.
    """
    values = _read(golden)
    figures: list[GoldenFigure] = []
    encoder = folder / f"{FILE_STEMS[Role.CODEC_ENCODER]}.onnx"
    if encoder.is_file() and {"codec_audio", "codec_codes"} <= values.keys():
        codes = _answer(encoder, {"audio": values["codec_audio"]}, golden, "codec_audio")
        figures.append(_codes_figure("codec_codes", encoder, codes, values["codec_codes"]))
    decoder = folder / f"{FILE_STEMS[Role.CODEC_DECODER]}.onnx"
    if decoder.is_file() and {"codec_codes", "codec_decoded"} <= values.keys():
        audio = _answer(decoder, {"codes": values["codec_codes"]}, golden, "codec_codes")
        figures.append(_error_figure("codec_decoded", decoder, audio, values["codec_decoded"]))
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
            logits = _answer(path, feeds, golden, key)
            figures.append(_error_figure(key, path, _original_layout(logits), values[key]))
    if not figures:
        raise InputError(
            f"{golden}: holds nothing for the models of {folder}; expected keys such as "
            "codec_audio and codec_codes, coarse_codes_100, coarse_mask_100 and coarse_logits_100"
        )
    return GoldenReport(golden.name, tuple(figures))


def _read(golden: Path) -> dict[str, Array]:
    try:
        with np.load(golden, allow_pickle=False) as stored:
            return {name: np.asarray(stored[name]) for name in stored.files}
    except (OSError, ValueError, EOFError, AttributeError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{golden}: not a readable .npz file ({reason})") from error


def _answer(path: Path, feeds: Mapping[str, Array], golden: Path, key: str) -> Array:
    session = open_session(path)
    try:
        return session.run(feeds, session.output_names[:1])[session.output_names[0]]
    except Exception as error:
        # The binding raises plain Exceptions of many classes for feeds of a wrong shape or type.
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{golden}: {key} does not fit {path.name}: {reason}") from error


def _original_layout(logits: Array) -> Array:
    """`[batch, predicted, frames, vocab]` -> `[batch, vocab, frames * predicted]`."""
    batch, predicted, frames, vocab = logits.shape
    return logits.transpose(0, 3, 2, 1).reshape(batch, vocab, frames * predicted)


def _codes_figure(key: str, path: Path, found: Array, expected: Array) -> GoldenFigure:
    same = float(np.mean(found == expected)) if found.shape == expected.shape else 0.0
    return GoldenFigure(key, path.name, "codes equal", same, 1.0, same == 1.0)


def _error_figure(key: str, path: Path, found: Array, expected: Array) -> GoldenFigure:
    error = float("inf")
    if found.shape == expected.shape:
        error = float(np.max(np.abs(found - expected)))
    measure = "largest difference"
    return GoldenFigure(key, path.name, measure, error, TOLERANCE, error <= TOLERANCE)
