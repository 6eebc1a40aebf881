"""What is made again, by which command, out of what, and in about how many minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optimize.recipes import ALL_RECIPES
from training.data.sounds import HELD_OUT_RECORDINGS

WORK = "out/results"
"""Runs and made models, below the repository; not committed."""
_WEIGHTS = ("vampnet_models/reference/*.pth",)
_IMPORT = "from pathlib import Path; from vampnet_models.chain.builtin import builtin_models"
_TOKENS = ("coarse", "c2f")
_PACK = ("calibration/audio/pack/*.ogg", "calibration/audio/pack/pack.json")
_CODE = tuple(f"{each}/**/*.py" for each in ("vampnet_models", "calibration", "optimize"))
_RUN = (*_CODE, "profiles/**/*.py", "vampbench/**/*.py")
_AUDIO = "../shared/audio"
_HELD_OUT = (
    *(*HELD_OUT_RECORDINGS, "humpback"),
    *("cc0/arovane_beat_d", "cc0/loop_compus", "cc0/loop_garzul", "cc0/loop_tabla"),
    *("cc0/perc_bell2", "cc0/guit_harmonics", "cc0/bass_trance_c", "cc0/ambi_piano"),
)
"""Recordings of every kind that nothing was trained on."""
_RECORDINGS = tuple(f"{_AUDIO}/{name}.ogg" for name in _HELD_OUT)
_MODELS, _FULL = f"{WORK}/builtin", f"{WORK}/models"
_HEARD, _DEMO = f"{WORK}/heldout", f"{WORK}/demo"
_BENCH = "bench/results"


@dataclass(frozen=True)
class Step:
    """A part of the work: its commands, run in turn in the repository.

    The first word of a command is a program of the environment, or of the system. `writes`, `reads`
    and `code` are below the repository, the latter two as globs, each of which must match a file.
    `after` names the steps whose files it uses: it is made again when they are. What was made by
    other `code` is told, and made again where that is asked for: most changes of the code change
    no figure, and all steps together take a day.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    minutes: float
    after: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


def _module(name: str, *words: str) -> tuple[str, ...]:
    return ("python", "-m", name, *words)


def _tuning(name: str, *words: str) -> tuple[str, ...]:
    return ("vampbench", "tune", *words, "--evaluation-audio", _HEARD, "-o", f"{WORK}/tuned/{name}")


_TUNED = {
    "harmless": (),
    "faithful": ("--grade", "faithful"),
    "97": ("--min-agreement", "0.97", "--min-si-sdr", "30"),
}
_TOOLS = tuple(
    f".venv-{each}/bin/python" for each in ("bench", "inc", "quark", "modelopt", "aimet")
)

STEPS: Sequence[Step] = (
    Step(
        "held-out",
        (("mkdir", "-p", _HEARD), ("cp", *_RECORDINGS, _HEARD)),
        tuple(f"{_HEARD}/{Path(name).name}.ogg" for name in _HELD_OUT),
        _RECORDINGS,
        0.1,
    ),
    Step(
        "models",
        (("python", "-c", f"{_IMPORT}; builtin_models(Path({WORK!r}))"),),
        tuple(f"{_MODELS}/{name}.onnx" for name in ("codec_encoder", "codec_decoder", *_TOKENS)),
        _WEIGHTS,
        0.1,
        code=("vampnet_models/**/*.py",),
    ),
    Step(
        "demo",
        (
            ("vampbench", "demo", "-o", _DEMO),
            ("python", "docs/update.py", "--demo", f"{_DEMO}/results.json"),
        ),
        ("docs/demo-results.json", f"{_DEMO}/results.json"),
        (*_WEIGHTS, *_PACK),
        3,
        code=_RUN,
    ),
    Step(
        "decision",
        (
            (
                *("vampbench", "run", _MODELS, "-o", f"{WORK}/decision"),
                *("--recipes", ",".join(each.name for each in ALL_RECIPES)),
            ),
            ("python", "docs/update.py", "--decision", f"{WORK}/decision/results.json"),
        ),
        ("vampnet_models/reference/decision.json",),
        (*_WEIGHTS, *_PACK),
        5,
        ("models",),
        code=_RUN,
    ),
    Step(
        "recordings",
        (
            (
                *("vampbench", "run", _MODELS, "--evaluation-audio", _HEARD),
                *("--clip-s", "10.1", "--song", "-o", f"{WORK}/recordings"),
            ),
            ("python", "docs/update.py", "--recordings", f"{WORK}/recordings/results.json"),
        ),
        ("docs/recordings-results.json",),
        (*_WEIGHTS, *_PACK),
        40,
        ("held-out", "models"),
        code=_RUN,
    ),
    Step(
        "tune",
        (
            *(_tuning(name, *bounds) for name, bounds in _TUNED.items()),
            (
                *("python", "docs/update.py", "--tune"),
                *(f"{WORK}/tuned/{name}/tune.json" for name in _TUNED),
            ),
        ),
        ("docs/tune-results.json",),
        (*_WEIGHTS, *_PACK),
        90,
        ("held-out",),
        code=_RUN,
    ),
    Step(
        "accuracy",
        (
            _module(
                "bench.accuracy.run",
                *("--evaluation-audio", _HEARD, "--out", f"{_BENCH}/accuracy.json"),
            ),
        ),
        (f"{_BENCH}/accuracy.json",),
        (*_WEIGHTS, *_PACK, *_TOOLS),
        240,
        ("held-out",),
        code=(*_CODE, "bench/accuracy/*.py"),
    ),
    Step(
        "model-card",
        (
            _module(
                "training.evaluate",
                *("--audio", _AUDIO, "--work", f"{WORK}/training"),
                *("--json", f"{_BENCH}/reference.json"),
            ),
        ),
        (f"{_BENCH}/reference.json",),
        (*_WEIGHTS, *_RECORDINGS[: len(HELD_OUT_RECORDINGS)]),
        10,
        code=("training/**/*.py",),
    ),
    Step(
        "fusion",
        (_module("bench.fusion"),),
        (f"{_BENCH}/fusion.json",),
        (*_WEIGHTS, ".venv-tools/bin/python"),
        5,
        code=(*_CODE, "bench/fusion.py"),
    ),
    Step(
        "resume",
        (_module("bench.resume", "--results", f"{_BENCH}/resume.json"),),
        (f"{_BENCH}/resume.json",),
        (*_WEIGHTS, *_PACK),
        10,
        code=(*_RUN, "bench/resume.py"),
    ),
    Step(
        "qnn",
        (_module("bench.machines.qnn"),),
        (f"{_BENCH}/qnn.json",),
        (*_WEIGHTS, *_PACK),
        30,
        code=(*_CODE, "bench/machines/*.py"),
    ),
    Step(
        "arm64",
        (_module("bench.machines.arm64"),),
        (f"{_BENCH}/arm64.json",),
        (*_WEIGHTS, *_PACK),
        60,
        code=(*_CODE, "bench/machines/*.py"),
    ),
    Step(
        "full-size-models",
        (("vampbench", "synth", "--preset", "vampnet", "-o", _FULL),),
        (f"{_FULL}/coarse.onnx",),
        (),
        3,
        code=("vampnet_models/**/*.py",),
    ),
    Step(
        "sampler",
        (
            _module("bench.sampler", f"{_DEMO}/builtin"),
            ("vampbench", "int8", _FULL, "--mode", "dynamic", "-o", f"{WORK}/int8-dynamic"),
            _module(
                "bench.sampler",
                *(f"{WORK}/int8-dynamic", "--set", "full size, int8-dynamic", "--rounds", "2"),
            ),
        ),
        (f"{_BENCH}/sampler.json",),
        (*_WEIGHTS, *_CODE, "bench/sampler.py"),
        15,
        ("demo", "full-size-models"),
    ),
    Step(
        "full-size",
        (
            ("vampbench", "run", _FULL, "--rounds", "5", "-o", f"{WORK}/full-size"),
            ("python", "docs/update.py", "--full-size", f"{WORK}/full-size/results.json"),
        ),
        ("docs/full-size-results.json", f"{WORK}/full-size/results.json"),
        _PACK,
        20,
        ("full-size-models",),
        code=_RUN,
    ),
    Step(
        "full-size-files",
        (_module("bench.full_size", _FULL),),
        (f"{_BENCH}/full_size.json", "profiles/full_size.json"),
        _PACK,
        30,
        ("full-size-models",),
        code=(*_CODE, "bench/full_size.py"),
    ),
    Step(
        "efficiency",
        (
            _module("bench.efficiency", _DEMO),
            _module("bench.efficiency", f"{WORK}/full-size", "--set", "full size"),
        ),
        (f"{_BENCH}/efficiency.json",),
        (),
        20,
        ("demo", "full-size"),
        code=("bench/efficiency.py", "profiles/**/*.py"),
    ),
    Step(
        "accuracy-full",
        (
            _module(
                "bench.accuracy.run",
                *(_FULL, "--evaluation-audio", _HEARD, "--out", f"{_BENCH}/accuracy_full.json"),
                *("--states", "4", "--frames", "100", "--max-memory-gb", "8"),
            ),
        ),
        (f"{_BENCH}/accuracy_full.json",),
        (*_PACK, *_TOOLS),
        90,
        ("held-out", "full-size-models"),
        code=(*_CODE, "bench/accuracy/*.py"),
    ),
    Step(
        "pages",
        (("python", "docs/update.py"),),
        ("README.md",),
        ("docs/**/*.py", "docs/*-results.json", f"{_BENCH}/*.json"),
        0.1,
    ),
)
"""In the order of the work; the pages come last, because they quote all others."""
