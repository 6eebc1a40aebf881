"""The chain: audio -> codes -> coarse -> c2f -> audio, in windows of any length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    Forward,
    Logits,
    SamplingOptions,
    State,
    sample_all,
)
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Session
from vampnet_models.progress import Progress
from vampnet_models.repair.layouts import (
    logits_name,
    logits_of,
    session_spec,
    transformer_feed,
)
from vampnet_models.spec import n_coarse_of

Audio = NDArray[np.float32]
_OnStates = Callable[[Sequence[State]], None]


@dataclass(frozen=True)
class Chain:
    """Open sessions of the four stages; any mix of variants."""

    encoder: Session
    coarse: Session
    c2f: Session
    decoder: Session


def encode(encoder: Session, samples: Audio) -> Codes:
    """int64 `[1, codebooks, frames]` of float32 `[n]` samples at the codec's rate."""
    codes: Codes = encoder.run({encoder.input_names[0]: samples[None, None, :]})[
        encoder.output_names[0]
    ]
    return codes


def decode(decoder: Session, codes: Codes) -> Audio:
    """float32 `[n]` of codes `[1, codebooks, frames]`.

    MASK becomes code 0, and frames that are masked in all codebooks become silence.
    """
    spec = session_spec(decoder)
    masked = codes == spec.lengths_of.mask_token
    empty, known = masked.all(axis=1)[0], np.where(masked, 0, codes)
    audio: Audio = decoder.run({decoder.input_names[0]: known})[decoder.output_names[0]][0, 0]
    if empty.any():
        # DAC's odd strides give a few samples less than whole frames, VampNet's could give more.
        hop = len(audio) // len(empty) if spec.family is None else spec.family.hop_samples
        silent = np.repeat(empty, hop)[: len(audio)]
        audio = np.where(silent, np.float32(0), audio[: len(silent)])
    return audio


def forward_of(session: Session) -> Forward:
    """The transformer's logits as the sampler wants them, whatever their layout.

    Raises InputError when the model takes no codes with a mask, or gives no logits.
    """

    spec = session_spec(session)
    name = logits_name(spec)
    if name is None:
        raise InputError("the model gives tokens without logits: it cannot be sampled from")

    def forward(codes: Codes, mask: Codes) -> Logits:
        found = session.run(transformer_feed(spec, codes, mask), [name])
        return logits_of(spec, name, found[name], codes.shape)

    return forward


def generate_coarse(
    coarse: Session,
    codes: Codes,
    mask: Codes,
    options: SamplingOptions = COARSE_SAMPLING,
    on_states: _OnStates | None = None,
) -> Codes:
    """Generate the coarse codebooks `[1, n, frames]` where `mask` is 1, window by window.

    The last window is shorter. Where any position of a window is kept, its first and last frame
    are kept in every codebook: the only join between windows.
    """
    forward, out = forward_of(coarse), codes.copy()
    frames = session_spec(coarse).lengths_of.coarse_window_frames
    for start in range(0, codes.shape[2], frames):
        window = slice(start, start + frames)
        own = joined(mask[:, :, window])
        final, states = sample_all(
            forward, codes[:, :, window], own, codes.shape[1], options, start
        )
        out[:, :, window] = final
        if on_states is not None:
            on_states(states)
    return out


def joined(mask: Codes) -> Codes:
    """Keep the first and last frame of a window of which anything is kept."""
    if mask.all():
        return mask
    out = mask.copy()
    out[:, :, [0, -1]] = 0
    return out


def generate_fine(
    c2f: Session,
    codes: Codes,
    mask: Codes,
    options: SamplingOptions = C2F_SAMPLING,
    on_states: _OnStates | None = None,
) -> Codes:
    """Generate the fine codebooks of `codes [1, n, frames]` where `mask` is 1.

    Coarse codebooks pass through. Frames are padded to whole windows with code 0 and mask 1,
    and cut back.
    """
    spec = session_spec(c2f)
    frames, most = codes.shape[2], spec.lengths_of.c2f_window_frames
    missing = -frames % most
    widths = ((0, 0), (0, 0), (0, missing))
    padded = np.pad(codes, widths)
    padded_mask = np.pad(mask, widths, constant_values=1)
    predicted = codes.shape[1] - n_coarse_of(spec)
    forward = forward_of(c2f)
    for start in range(0, padded.shape[2], most):
        window = slice(start, start + most)
        final, states = sample_all(
            forward, padded[:, :, window], padded_mask[:, :, window], predicted, options, start
        )
        padded[:, :, window] = final
        if on_states is not None:
            on_states(states)
    return padded[:, :, :frames]


def vamp(
    chain: Chain,
    samples: Audio,
    make_mask: Callable[[tuple[int, ...]], Codes],
    coarse_options: SamplingOptions = COARSE_SAMPLING,
    c2f_options: SamplingOptions = C2F_SAMPLING,
    progress: Progress | None = None,
) -> tuple[Audio, Codes]:
    """Audio of the same length, generated where the mask says, and its codes.

    `make_mask` gives the mask for a shape `[1, n, frames]`; its first codebooks steer the coarse
    model, the others c2f. `progress` counts encoding, both models' windows and decoding.
    """
    codes = encode(chain.encoder, samples)
    first, second = (session_spec(each) for each in (chain.coarse, chain.c2f))
    n_coarse, frames = n_coarse_of(first), codes.shape[2]
    total = 2 - (-frames // first.lengths_of.coarse_window_frames)
    total -= -frames // second.lengths_of.c2f_window_frames
    done = 0

    def advance(_states: Sequence[State] = ()) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    advance()
    mask = make_mask(codes.shape)
    coarse = generate_coarse(
        chain.coarse,
        codes[:, :n_coarse],
        mask[:, :n_coarse],
        coarse_options,
        advance,
    )
    whole = np.concatenate([coarse, codes[:, n_coarse:]], axis=1)
    # A frame whose coarse codes were generated anew has no fine codes to keep.
    fine_mask = np.maximum(mask, mask[:, :n_coarse].max(axis=1, keepdims=True))
    complete = generate_fine(chain.c2f, whole, fine_mask, c2f_options, advance)
    audio = decode(chain.decoder, complete)[: len(samples)]
    advance()
    return np.pad(audio, (0, len(samples) - len(audio))), complete
