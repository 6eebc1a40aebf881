"""The checkpoints of an import: found, recognised by content, and checked to fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path

import numpy as np

from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.checkpoints.checkpoint import Checkpoint, read_checkpoint
from vampnet_models.checkpoints.lora_files import with_lora
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.checkpoints.zip_entries import shortened
from vampnet_models.errors import InputError
from vampnet_models.importing.configs import NAMED_TENSORS, Config, config_of, tensors_left
from vampnet_models.progress import StepProgress
from vampnet_models.records.import_record import Ignored
from vampnet_models.spec import Role

_SUFFIXES = (".pth", ".pt", ".ckpt")


@dataclass(frozen=True)
class Source:
    """A checkpoint with its configuration and the ledger of its tensors."""

    checkpoint: Checkpoint
    config: Config
    ledger: Ledger
    notes: tuple[str, ...] = ()
    """What the user must know of its reading."""

    @property
    def role(self) -> str:
        """What it is: `codec`, `coarse`, `c2f` or `beats`."""
        if isinstance(self.config, CodecConfig):
            return "codec"
        if isinstance(self.config, TransformerConfig):
            return self.config.role.value
        return Role.BEATS.value

    def serves(self, role: Role) -> bool:
        """Whether that role's model holds tensors of it (codebooks, of the codec)."""
        if isinstance(self.config, CodecConfig):
            return role is not Role.BEATS
        return self.role == role.value


def find_sources(
    inputs: Sequence[Path],
    progress: StepProgress | None = None,
    bases: Sequence[Path] = (),
    sample_rate_hz: int | None = None,
) -> tuple[tuple[Source, ...], tuple[Ignored, ...]]:
    """Read the checkpoints among files and folders, and look at every value once.

    `bases` are transformers that LoRA files among the inputs change; `sample_rate_hz` is for a
    codec whose arguments name none.

    Raises InputError when a file cannot be used, when a folder holds no checkpoint, when two
    files have the same role, when values are not finite, or when a LoRA file and the bases do not
    fit together.
    """
    if not inputs:
        raise InputError("no checkpoint given; give codec.pth, and coarse.pth and c2f.pth with it")
    ignored: list[Ignored] = []
    found: dict[Path, Checkpoint] = {}
    for path in (*(file for given in inputs for file in _files(given, ignored)), *bases):
        if Path(realpath(path)) not in found:
            found[Path(realpath(path))] = read_checkpoint(path)
    sources: dict[str, Source] = {}
    for checkpoint in with_lora(tuple(found.values()), bases):
        source = _source(checkpoint, sample_rate_hz)
        if source.role in sources:
            other = sources[source.role].checkpoint.path
            raise InputError(
                f"{checkpoint.path}: a second {source.role} beside {other}; give one of them"
            )
        sources[source.role] = source
    for source in sources.values():
        _require_finite(source, progress)
    return tuple(sources.values()), tuple(ignored)


def _source(checkpoint: Checkpoint, sample_rate_hz: int | None) -> Source:
    config, ledger = config_of(checkpoint, sample_rate_hz), Ledger(checkpoint.tensors)
    left = tensors_left(checkpoint, config)
    for name, reason in left.items():
        ledger.leave(name, reason)
    notes = []
    for reason in dict.fromkeys(left.values()):
        names = [name for name in left if left[name] == reason]
        more = f" and {len(names) - NAMED_TENSORS} more" if len(names) > NAMED_TENSORS else ""
        listed = ", ".join(map(shortened, names[:NAMED_TENSORS]))
        notes.append(f"{checkpoint.path.name}: left out: {listed}{more}: {reason}")
    return Source(checkpoint, config, ledger, (*checkpoint.notes, *notes))


def _require_finite(source: Source, progress: StepProgress | None = None) -> None:
    """Raise InputError that names every tensor with NaN or infinite values (as float32).

    Tensors that no model needs are not looked at.
    """
    checkpoint, left = source.checkpoint, source.ledger.left()
    tensors, file = checkpoint.tensors, checkpoint.path.name
    names = [name for name in tensors.names() if name not in left]
    damaged = []
    for done, name in enumerate(names, start=1):
        if not np.isfinite(tensors.read(name)).all():
            damaged.append(name)
        if progress is not None:
            progress(done, len(names), f"check {file}")
    if damaged:
        raise InputError(
            f"{checkpoint.path}: NaN or infinite values in {', '.join(damaged[:8])}"
            f"{f' and {len(damaged) - 8} more' if len(damaged) > 8 else ''}; the checkpoint is "
            "damaged or its training diverged"
        )


def require_fit(sources: Sequence[Source]) -> None:
    """Check that the transformers' codec is there and is theirs.

    Raises InputError that names both files and the arguments that differ.
    """
    codec = next((s for s in sources if isinstance(s.config, CodecConfig)), None)
    transformers = [s for s in sources if isinstance(s.config, TransformerConfig)]
    for source in transformers:
        path = source.checkpoint.path
        if codec is None or not isinstance(codec.config, CodecConfig):
            raise InputError(
                f"{path}: is a {source.role} transformer, and no codec is among the files; its "
                "embedding needs the codec's codebooks: add codec.pth"
            )
        if isinstance(source.config, TransformerConfig):
            _require_codebooks(source.config, codec.config, path, codec.checkpoint.path)
    _require_stages(transformers)


def _require_codebooks(
    config: TransformerConfig, codec: CodecConfig, path: Path, codec_path: Path
) -> None:
    differences = [
        f"{name} {own} against {codec_name} {theirs}"
        for name, own, codec_name, theirs, fits in (
            (
                "latent_dim",
                config.latent_dim,
                "codebook_dim",
                codec.codebook_dim,
                config.latent_dim == codec.codebook_dim,
            ),
            (
                "vocab_size",
                config.vocab_size,
                "codebook_size",
                codec.codebook_size,
                config.vocab_size == codec.codebook_size,
            ),
            (
                "n_codebooks",
                config.n_codebooks,
                "n_codebooks",
                codec.n_codebooks,
                config.n_codebooks <= codec.n_codebooks,
            ),
        )
        if not fits
    ]
    if differences:
        raise InputError(
            f"{path}: does not fit the codec {codec_path}: {', '.join(differences)}; give the "
            "codec that it was trained with"
        )


def _require_stages(transformers: Sequence[Source]) -> None:
    """The coarse model must give what the fine one is conditioned on."""
    configs = {s.role: s for s in transformers}
    coarse, fine = configs.get(Role.COARSE.value), configs.get(Role.C2F.value)
    if coarse is None or fine is None:
        return
    if not isinstance(coarse.config, TransformerConfig):
        return
    if not isinstance(fine.config, TransformerConfig):
        return
    given, wanted = coarse.config.n_codebooks, fine.config.n_conditioning_codebooks
    if given != wanted:
        raise InputError(
            f"{fine.checkpoint.path}: is conditioned on {wanted} codebooks, "
            f"{coarse.checkpoint.path} gives {given}; give two that were trained together"
        )


def _files(path: Path, ignored: list[Ignored]) -> list[Path]:
    """The file itself, or the checkpoints of a folder; its other files are listed as ignored."""
    if not path.is_dir():
        return [path]
    found = []
    for file in sorted(p for p in path.iterdir() if p.is_file()):
        if file.suffix in _SUFFIXES:
            found.append(file)
        else:
            ignored.append(Ignored(file.name, f"no checkpoint ({', '.join(_SUFFIXES)})"))
    if not found:
        raise InputError(f"{path}: holds no checkpoint ({', '.join(_SUFFIXES)})")
    return found
