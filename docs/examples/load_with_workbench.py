"""The same with this project: iterative sampling, windows of any length, any mix of variants.

python load_with_workbench.py MODELS_DIR
"""

import sys
from pathlib import Path

from calibration.audio.samples import builtin_audio_set
from vampnet_models.chain.pipeline import Chain, vamp
from vampnet_models.chain.tokens import periodic_mask, with_upper_codebooks
from vampnet_models.onnxfile.session import open_session

models = Path(sys.argv[1])
chain = Chain(
    encoder=open_session(models / "codec_encoder.onnx"),
    coarse=open_session(models / "coarse.onnx"),
    c2f=open_session(models / "c2f.onnx"),
    decoder=open_session(models / "codec_decoder.onnx"),
)
samples = builtin_audio_set().evaluation[0].samples
audio, codes = vamp(chain, samples, lambda shape: with_upper_codebooks(periodic_mask(shape, 7), 3))
print(f"{len(samples)} samples -> {codes.shape[-1]} frames -> {len(audio)} samples")
