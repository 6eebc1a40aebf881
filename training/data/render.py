"""Renditions: a stretch of a score played by FluidSynth with everything else drawn by seed.

Needs the command `fluidsynth` and the sound font FluidR3 (Debian's `fluid-soundfont-gm`, MIT).
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mido  # type: ignore[import-untyped]
import numpy as np
import soundfile

from training.config import SAMPLE_RATE_HZ
from training.data.audio import Audio, normalise
from training.data.scores import Notes, Work

SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
_TICKS_PER_S = 960.0
_DRUM_CHANNEL = 9
# General MIDI programs by kind of player; the parts of a score take turns in a row.
_ENSEMBLES = (
    (40, 40, 41, 42), (40, 40, 41, 42), (48, 48, 48, 43), (44, 48, 49, 43), (45, 45, 45, 45),
    (52, 52, 53, 53), (19, 19, 19, 19), (20, 20, 20, 20), (0, 0, 0, 0), (1, 1, 1, 1),
    (6, 6, 6, 6), (56, 56, 60, 57), (56, 60, 57, 58), (61, 61, 61, 61), (73, 68, 71, 70),
    (73, 71, 60, 70), (24, 24, 24, 24), (25, 24, 25, 32), (26, 27, 26, 33), (11, 12, 12, 12),
    (65, 65, 66, 67), (64, 65, 66, 67), (46, 46, 46, 46), (4, 4, 4, 33), (8, 10, 9, 46),
    (80, 81, 81, 38), (88, 89, 90, 39), (68, 40, 41, 42), (71, 0, 0, 0), (56, 19, 19, 19),
)  # fmt: skip
_SOLOISTS = (
    40, 40, 41, 42, 56, 56, 56, 59, 57, 60, 61, 58, 73, 73, 71, 68, 69, 70, 74, 75, 78, 72, 79,
    64, 65, 66, 67, 0, 1, 4, 6, 11, 12, 13, 15, 21, 22, 23, 24, 25, 26, 28, 46, 104, 105, 106,
    107, 109, 110, 111, 80, 81, 82, 52, 53, 54,
)  # fmt: skip
# Programs that sound low: played an octave down, and high: up.
_LOW, _HIGH = (42, 43, 57, 58, 66, 67, 70), (72, 78, 9, 13)
_KIT = (36, 38, 42, 42, 44, 46, 49, 51, 45, 47, 50, 39, 37, 56, 70, 75, 76)


@dataclass(frozen=True)
class _Event:
    """A MIDI message at `start_s`, on `channel`: a note of `length_s`."""

    start_s: float
    length_s: float
    channel: int
    pitch: int
    velocity: int


def _excerpt(work: Work, rng: np.random.Generator, duration_s: float) -> tuple[Notes, float]:
    """Notes of `duration_s`, starting at 0, and the seconds of a quarter note.

    From a random place of a long score; a short one is played again and again."""
    quarter_s = 60.0 / rng.uniform(66.0, 152.0)
    wanted = duration_s / quarter_s
    ends = float(np.ceil((work.notes[:, 1] + work.notes[:, 2]).max()))
    rounds = [work.notes.copy() for _ in range(_rounds(ends, wanted))]
    for turn, notes in enumerate(rounds):
        notes[:, 1] += turn * ends
    notes = np.concatenate(rounds)
    start = float(rng.uniform(0.0, len(rounds) * ends - wanted))
    notes = notes[(notes[:, 1] >= start) & (notes[:, 1] < start + wanted)]
    if len(notes) == 0:
        notes = work.notes[:1].copy()
    notes[:, 1] -= notes[:, 1].min()
    return notes, quarter_s


def _rounds(length: float, wanted: float) -> int:
    return int(np.ceil(wanted / length)) + (length < wanted)


def _in_range(pitch: int) -> int:
    while pitch > 100:
        pitch -= 12
    while pitch < 28:
        pitch += 12
    return pitch


def _played(
    notes: Notes, quarter_s: float, programs: tuple[int, ...], rng: np.random.Generator
) -> list[_Event]:
    """Transposed, with touch: phrases that swell, notes that are not quite even or on time."""
    key = int(rng.integers(-6, 7))
    loudness, depth = rng.uniform(55.0, 105.0), rng.uniform(0.0, 22.0)
    phrase_s, legato = rng.uniform(2.0, 8.0), rng.uniform(0.55, 1.02)
    late_s = rng.uniform(0.0, 0.012)
    events: list[_Event] = []
    for part, start, length, pitch in notes:
        channel = int(part) % len(programs)
        program = programs[channel]
        octave = -12 if program in _LOW else 12 if program in _HIGH else 0
        start_s = float(start) * quarter_s + abs(rng.normal(0.0, late_s))
        swell = depth * np.sin(2.0 * np.pi * start_s / phrase_s)
        velocity = int(np.clip(loudness + swell + rng.normal(0.0, 5.0), 20, 125))
        tone = _in_range(int(pitch) + key + octave)
        events.append(_Event(start_s, float(length) * quarter_s * legato, channel, tone, velocity))
    return events


def _drums(quarter_s: float, duration_s: float, rng: np.random.Generator) -> list[_Event]:
    """A pattern of two bars of sixteenths, repeated with small changes."""
    step_s = quarter_s / 4.0
    voices = rng.choice(_KIT, int(rng.integers(2, 6)), replace=False)
    chance = rng.choice([0.06, 0.12, 0.25, 0.5], len(voices))
    pattern = rng.random((32, len(voices))) < chance
    pattern[::4, 0] |= rng.random(8) < 0.8
    events: list[_Event] = []
    for step in range(int(duration_s / step_s)):
        for voice in np.nonzero(pattern[step % 32])[0]:
            if rng.random() < 0.93:
                velocity = int(np.clip(rng.normal(100 if step % 4 == 0 else 78, 9), 25, 125))
                event = _Event(step * step_s, 0.1, _DRUM_CHANNEL, int(voices[voice]), velocity)
                events.append(event)
    return events


def _midi(events: list[_Event], programs: tuple[int, ...], pan: np.ndarray) -> mido.MidiFile:
    """One track at 480 ticks per quarter of 0.5 s."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    for channel, program in enumerate(programs):
        track.append(mido.Message("program_change", channel=channel, program=program))
        track.append(
            mido.Message("control_change", channel=channel, control=10, value=int(pan[channel]))
        )
    timed: list[tuple[int, int, mido.Message]] = []
    for event in events:
        start = round(event.start_s * _TICKS_PER_S)
        end = max(start + 1, round((event.start_s + event.length_s) * _TICKS_PER_S))
        for tick, kind, order in ((start, "note_on", 1), (end, "note_off", 0)):
            velocity = event.velocity if kind == "note_on" else 0
            message = mido.Message(kind, channel=event.channel, note=event.pitch, velocity=velocity)
            timed.append((tick, order, message))
    now = 0
    for tick, _, message in sorted(timed, key=lambda each: each[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return file


def _synthesised(file: mido.MidiFile, rng: np.random.Generator) -> Audio:
    """What FluidSynth plays, mono at 44.1 kHz, in a room drawn by `rng`."""
    settings = {
        "synth.dynamic-sample-loading": 1,
        "synth.chorus.active": int(rng.random() < 0.2),
        "synth.reverb.active": int(rng.random() < 0.75),
        "synth.reverb.room-size": round(rng.uniform(0.1, 0.95), 3),
        "synth.reverb.damp": round(rng.uniform(0.0, 0.7), 3),
        "synth.reverb.level": round(rng.uniform(0.05, 0.8), 3),
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
        file.save(score)
        command = ["fluidsynth", "-niq", "-g", "0.4", "-r", str(SAMPLE_RATE_HZ), *options]
        command += ["-O", "float", "-T", "wav", "-F", str(sound), str(SOUND_FONT), str(score)]
        subprocess.run(command, check=True, capture_output=True)
        audio, _ = soundfile.read(io.BytesIO(sound.read_bytes()), dtype="float32", always_2d=True)
    mono: Audio = audio.mean(1)
    return mono


def _cast(notes: Notes, rng: np.random.Generator) -> tuple[Notes, tuple[int, ...]]:
    """Who plays: the notes with their parts, and the General MIDI program of every part."""
    parts = np.unique(notes[:, 0])
    if len(parts) > 1 and rng.random() < 0.8:
        return notes, _ENSEMBLES[rng.integers(len(_ENSEMBLES))]
    # A soloist: any part alone; it is what brass and voices are learned from.
    line = notes[notes[:, 0] == rng.choice(parts)]
    line[:, 0] = 0.0
    soloist = int(rng.choice(_SOLOISTS))
    if rng.random() < 0.75:
        return line, (soloist,)
    # Doubled an octave below by a second player.
    low = line.copy()
    low[:, 0], low[:, 3] = 1.0, low[:, 3] - 12.0
    return np.concatenate([line, low]), (soloist, int(rng.choice(_SOLOISTS)))


def rendition(work: Work, seed: int, duration_s: float) -> Audio:
    """A stretch of `work`, float32 `[duration_s * 44100]` at -24 LUFS.

    Raises `subprocess.CalledProcessError` where FluidSynth fails.
    """
    rng = np.random.default_rng(seed)
    excerpt, quarter_s = _excerpt(work, rng, duration_s)
    notes, programs = _cast(excerpt, rng)
    events = _played(notes, quarter_s, programs, rng)
    if rng.random() < 0.15:
        events += _drums(quarter_s, duration_s, rng)
    return _finished(_synthesised(_midi(events, programs, _pans(rng)), rng), duration_s)


def drum_solo(seed: int, duration_s: float) -> Audio:
    """Percussion alone, float32 `[duration_s * 44100]` at -24 LUFS."""
    rng = np.random.default_rng(seed)
    events = _drums(60.0 / rng.uniform(70.0, 160.0), duration_s, rng)
    return _finished(_synthesised(_midi(events, (), _pans(rng)), rng), duration_s)


def _pans(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(20, 108, 16)


def _finished(audio: Audio, duration_s: float) -> Audio:
    """Cut or padded to the duration, then levelled."""
    length = round(duration_s * SAMPLE_RATE_HZ)
    whole = np.zeros(length, np.float32)
    whole[: min(length, len(audio))] = audio[:length]
    return normalise(whole) if np.abs(whole).max() > 1e-4 else whole
