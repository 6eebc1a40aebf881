"""Short sounds of reference and variants, so that one can hear what a recipe costs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import soundfile

from vampbench.work.workspace import Workspace
from vampnet_models.chain.pipeline import Audio, decode
from vampnet_models.chain.tokens import Codes
from vampnet_models.family import TYPICAL
from vampnet_models.onnxfile.artifact import beside
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.results import Model, Sound
from vampnet_models.spec import Role

_EXCERPT_S = 3
_HEARD_UP_TO_BYTES = 100_000_000
"""Decoders larger than this take too long to run for each variant just to be heard."""


def write_listening(
    models: Sequence[Model], space: Workspace, codes: Sequence[Codes]
) -> tuple[Sound, ...]:
    """Decode the first evaluation clip by every decoder variant, once; what the report plays."""
    decoder = next((m for m in models if m.role == Role.CODEC_DECODER.value), None)
    if decoder is None or (decoder.source_bytes or 0) > _HEARD_UP_TO_BYTES or not codes:
        return ()
    family = decoder.family or TYPICAL
    excerpt = _EXCERPT_S * family.sample_rate_hz // family.hop_samples
    sources = [("reference", decoder.path, decoder.source_sha256)]
    usable = (v for v in decoder.variants if v.usable)
    sources += [(v.recipe, v.path, v.record.sha256) for v in usable if v.record is not None]
    listed = []
    for name, model, sha256 in sources:
        if model is None or sha256 is None:
            continue
        path = space.root / "audio" / f"{name}.{sha256[:8]}.wav"
        if not path.is_file():
            audio = decode(open_session(space.root / model), codes[0][:, :, :excerpt])
            write_wav(path, audio, family.sample_rate_hz)
        note = f"{decoder.name}: the codes of an evaluation clip, decoded by {name}"
        listed.append(Sound(str(path.relative_to(space.root)), name, note))
    return tuple(listed)


def write_wav(path: Path, samples: Audio, rate_hz: int) -> None:
    """Write float32 `[n]` as 16-bit WAV, beside and renamed.

    Raises InputError when the file cannot be written.
    """
    # Made in memory: the library calls a full disk a "System error".
    sound = io.BytesIO()
    soundfile.write(sound, samples, rate_hz, subtype="PCM_16", format="WAV")
    with beside(path) as staged:
        staged.write_bytes(sound.getbuffer())
