"""Folders in which shown commands run, with what the documents take as given."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from calibration.audio.samples import builtin_audio_set
from docs.pages import README
from tests import dac
from tests.beat_tracker import save_tracker
from tests.vampbench.conftest import write_tiny
from tests.vampnet_models.make_checkpoint import Stored, write_saved
from vampnet_models.family import VAMPNET
from vampnet_models.native.library import compiler

REFERENCE = README.parent / "vampnet_models" / "reference"
CLIPS, CLIP_S = ("joplin-maple-leaf-rag", "speech-2"), 2
"""Music and a voice: what is shown of audio holds of short recordings too."""

WIDE = ("int8", "native", "weights")
"""Commands that the least models are too small for: they find no channels enough to convert in the
decoder, or cannot reach a share of the bytes that real models reach."""

DEMO = "vampbench demo -o out/demo --audio recordings --rounds 3"

Run = Callable[[str, Path], None]
"""Runs a command line in a folder; it must succeed."""


def furnish(folder: Path, *, every_clip: bool = False) -> Path:
    """A folder with the shipped checkpoints, a DAC with its answers, recordings and a song.

    There are two recordings, or with `every_clip` all that judge.
    """
    recordings = folder / "recordings"
    recordings.mkdir(parents=True)
    for checkpoint in REFERENCE.glob("*.pth"):
        shutil.copy(checkpoint, folder)
    dac.write_checkpoint(16000, folder / "weights_16khz.pth")
    shutil.copy(dac.golden(16000), folder / "dac.npz")
    for clip in builtin_audio_set(CLIP_S).evaluation:
        if every_clip or clip.name in CLIPS:
            soundfile.write(recordings / f"{clip.name}.wav", clip.samples, VAMPNET.sample_rate_hz)
    shutil.copy(min(recordings.iterdir()), folder / "song.wav")
    return folder


def _linked(source: Path, target: Path) -> None:
    """The same files again: a command writes a new file and renames it."""
    shutil.copytree(source, target, copy_function=os.link)


@dataclass
class Rooms:
    """What the rooms of the commands' own examples have in common, each made on first demand."""

    root: Path
    run: Run

    def _pages(self) -> Path:
        """Where the pages begin: with checkpoints and recordings."""
        folder = self.root / "pages"
        return folder if folder.exists() else furnish(folder)

    def _pair(self) -> Path:
        """A few of the least models alone: a search tries hundreds of variants.

        The decoder is there for what the encoder costs, and recordings enough to tell.
        """
        folder = self.root / "pair"
        if not folder.exists():
            furnish(folder, every_clip=True)
            (folder / "models").mkdir()
            for name in ("codec_encoder.onnx", "coarse.onnx", "codec_decoder.onnx"):
                shutil.copy(self._tiny() / name, folder / "models")
        return folder

    def of(self, command: str) -> Path:
        """The room of a command's examples; of the pages for "", of two models for "pair"."""
        if command in ("", "pair"):
            return self._pair() if command else self._pages()
        folder = self.root / command
        if not folder.exists():
            furnish(folder)
            if command in WIDE:
                self.run("vampbench import codec.pth coarse.pth c2f.pth -o models", folder)
            else:
                shutil.copytree(self._tiny(), folder / "models")
            for name in ("codec_decoder", "coarse", "c2f"):
                shutil.copy(folder / "models" / f"{name}.onnx", folder / f"{name}.onnx")
            self._add(command, folder)
        return folder

    def _add(self, command: str, folder: Path) -> None:
        """What the examples of one command take beside models and sounds."""
        if command in ("bundle", "compare", "overview", "report", "swap"):
            _linked(self._demo(), folder / "out" / "demo")
        if command == "bundle" and compiler() is not None:
            made = "vampbench run models --audio recordings --targets cpu --rounds 3 -o out/run"
            self.run(f"{made} --recipes fused,fused-native", folder)
        if command == "report":
            for name in ("before", "after"):
                _linked(self._demo(), folder / "out" / name)
        if command in ("inspect", "int8", "profile", "vamp"):
            self.run("vampbench int8 coarse.onnx --mode dynamic -o coarse.int8.onnx", folder)
        if command in ("int8", "verify"):
            self.run("vampbench feeds coarse.onnx -o f.npz", folder)
        if command == "verify":
            # In the least model, products with rounded activations lose more than it is asked for.
            self.run("vampbench weights coarse.onnx -o coarse.int8.onnx", folder)
            for name in ("a.onnx", "b.onnx"):
                shutil.copy(folder / "coarse.int8.onnx", folder / name)
        if command == "qnn":
            self.run("vampbench npu coarse.onnx --precision fp16 -o coarse.npu.onnx", folder)
        if command == "make-dynamic":
            fixed = "vampbench make-static coarse.onnx --frames 32 -o coarse_transformer_v2.onnx"
            self.run(fixed, folder)
        if command == "import-profile":
            lines = (f"coarse,0.0{n},1000000,90,{n}\n" for n in range(1, 4))
            (folder / "coarse.csv").write_text("".join(lines), encoding="utf-8")
        if command == "vamp":
            save_tracker(folder / "models" / "wavebeat.onnx")
        if command == "import":
            self._answers(folder)

    def _answers(self, folder: Path) -> None:
        """A LoRA file that changes nothing of coarse.pth, and answers of the codec."""
        layer = "transformer.layers.0.self_attn.fc"
        parts = {"lora_A": np.ones((8, 160)), "lora_B": np.zeros((160, 8))}
        stored = {f"{layer}.{n}": Stored(v.astype(np.float32)) for n, v in parts.items()}
        write_saved(folder / "lora.pth", stored)
        self.run("vampbench import codec.pth coarse.pth -o again", folder)
        sound = soundfile.read(folder / "song.wav", frames=8 * 768, dtype="float32")[0]
        np.savez(folder / "sound.npz", audio=sound[None, None])
        code = (
            "import numpy as np, onnxruntime as ort; audio = np.load('sound.npz')['audio'];"
            "codes = ort.InferenceSession('again/codec_encoder.onnx').run(None, {'audio': audio});"
            "np.savez('golden.npz', codec_audio=audio, codec_codes=codes[0])"
        )
        self.run(f'python -c "{code}"', folder)

    def _tiny(self) -> Path:
        folder = self.root / "tiny"
        if not folder.exists():
            folder.mkdir()
            write_tiny(folder)
        return folder

    def _demo(self) -> Path:
        out = self.of("demo") / "out" / "demo"
        if not out.exists():
            self.run(DEMO, self.of("demo"))
        return out
