"""The comparison of fusions, on one exported model."""

import gzip
from pathlib import Path

from bench.fusion import fused_by, line

FIXTURES = Path(__file__).parents[1] / "fixtures" / "exported"


def test_each_tools_row_says_what_it_fused_or_why_not(tmp_path: Path) -> None:
    source = tmp_path / "c2f.onnx"
    source.write_bytes(gzip.decompress((FIXTURES / "c2f_dynamo.onnx.gz").read_bytes()))
    missing = tmp_path / "python"
    ours = fused_by("ours", source, tmp_path / "ours" / "out.onnx", missing)
    assert (ours["attentions"], ours["norms"], ours["gelus"]) == (16, 33, 16)
    assert ours["same_tokens"] is True
    assert ours["largest_difference"] < 1e-4
    assert ours["seconds"] > 0 and ours["peak_rss_bytes"] > 10e6
    assert "16 attentions, 33 norms, 16 gelus" in line("c2f", {"tool": "ours"} | ours)
    tools = fused_by("onnxruntime-tools", source, tmp_path / "out.onnx", missing)
    assert tools == {"failed": f"{missing} is missing: `make env-tools`"}
    assert "failed: " in line("c2f", {"tool": "onnxruntime-tools"} | tools)
