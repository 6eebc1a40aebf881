"""What smaller models lose: ours beside other tools', calibrated and judged on the same feeds.

    python -m bench.accuracy.run [MODELS_DIR] --out bench/results/accuracy.json
        [--evaluation-audio DIR]
    python -m bench.accuracy.run FULL_SIZE --out bench/results/accuracy_full.json --states 4
        --frames 100 --max-memory-gb 8 --resume

Each tool works in a process of its own, one at a time, which is timed and whose peak memory is
noted; its model is judged in another. NNCF (for OpenVINO) needs `make env-bench`, Neural Compressor
`make env-inc`, Quark `make env-quark`, ModelOpt `make env-modelopt`, AIMET `make env-aimet`; a tool
that is missing, fails, takes more than a limit or writes what does not run is a row that says so.
The file is written after each row; `--resume` keeps the rows that are there.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.accuracy.child import Limits
from bench.accuracy.subject import Subject
from bench.accuracy.tools import NOT_INSTALLED, TOOLS, Tool, recorded
from bench.printed import Printed
from calibration.feeds.chain_feeds import FeedSizes
from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.source import Source
from profiles.host import describe_host
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.onnxfile.artifact import (
    Artifact,
    find_models,
    open_artifact,
    write_text,
)
from vampnet_models.records.generic import as_json
from vampnet_models.spec import Role
from vampnet_models.text import megabytes, percent

_SCHEMA = 3
"""Of the record; from 3 on models are judged by costs and sampled agreement too."""


def compare_tools(
    artifacts: Sequence[Artifact],
    inputs: ChainInputs,
    sizes: FeedSizes | None,
    limits: Limits,
    work: Path,
    out: Path,
    content: Json,
    tools: Sequence[Tool] = TOOLS,
) -> None:
    """Add the rows of these tools that are missing to the record; it is written after each."""
    order = {tool.name: number for number, tool in enumerate(TOOLS)}
    for artifact in artifacts:
        subject = Subject(artifact, inputs, sizes, work)
        entry = _entry(content, artifact)
        entry["tools"] = [row for row in entry["tools"] if _holds(row, artifact.role)]
        done = {row["tool"] for row in entry["tools"]}
        for tool in (t for t in tools if t.takes(artifact.role) and t.name not in done):
            row = subject.row(tool, limits) | _elsewhere(content)
            entry["n_calibration_feeds"] = len(subject.calibration[0].feeds)
            entry["tools"].append(row)
            entry["tools"].sort(key=lambda each: order.get(each["tool"], len(order)))
            print(f"{artifact.name:<14} {_line(row)}", flush=True)
            write_text(out, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _elsewhere(content: Json) -> Json:
    """This machine, where it is not the one that the record was begun on."""
    here = as_json(describe_host())
    return {} if here["cpu"] == content["host"]["cpu"] else {"cpu": here["cpu"]}


def _holds(row: Json, role: Role) -> bool:
    """Whether a row is of a tool that was there, with the settings that it has now."""
    if NOT_INSTALLED in row.get("failed", ""):
        return False
    now = [tool for tool in TOOLS if tool.name == row["tool"]]
    return all(row["settings"] == recorded(tool, role) for tool in now)


def _entry(content: Json, artifact: Artifact) -> Json:
    """This model's part of the record; begun anew where it was of another file."""
    found = [m for m in content["models"] if m["sha256"] == artifact.sha256]
    if found:
        entry: Json = found[0]
        return entry
    entry = {
        "name": artifact.name,
        "role": artifact.role.value,
        "sha256": artifact.sha256,
        "source_bytes": artifact.bytes,
        "tools": [],
    }
    content["models"] = [m for m in content["models"] if m["name"] != artifact.name] + [entry]
    return entry


def _line(row: Json) -> str:
    """One tool's result in a line."""
    cost = ""
    if "seconds" in row:
        cost = f"{row['seconds']:.1f} s, peak {megabytes(row['peak_rss_bytes'])}"
    if "failed" in row:
        return f"{row['tool']:<38} failed: {row['failed']}" + (f" ({cost})" if cost else "")
    return f"{row['tool']:<38} {_kept(row['accuracy'])}, {megabytes(row['bytes'])}, {cost}"


def _kept(found: Json) -> str:
    """The measures that the model's role has."""
    said = []
    if found["token_agreement"] is not None:
        said.append(percent(found["token_agreement"]))
    if found["si_sdr_db"] is not None:
        said.append(f"{found['si_sdr_db']:.1f} dB SI-SDR")
    if found["sampled_agreement"] is not None:
        said.append(f"{percent(found['sampled_agreement']['value'])} sampled")
    for name, unit in (("cost_nats", "nats"), ("cost_log_mel_db", "dB log-mel")):
        if found[name] is not None:
            said.append(f"{found[name]['value']:+.4f} {unit}")
    return ", ".join(said)


def opened(out: Path, resume: bool, audio: str, sizes: FeedSizes | None) -> Json:
    """The record to add to. Raises SystemExit where the one there was made on other feeds."""
    fed = None if sizes is None else {"states": sizes.coarse_states, "frames": sizes.max_frames}
    fresh: Json = {
        "schema": _SCHEMA,
        "host": as_json(describe_host()),
        "audio": audio,
        "feeds": fed,
        "models": [],
    }
    if not (resume and out.is_file()):
        return fresh
    earlier: Json = json.loads(out.read_text(encoding="utf-8"))
    if [earlier.get(key) for key in ("schema", "audio", "feeds")] != [_SCHEMA, audio, fed]:
        raise SystemExit(f"{out}: of other feeds; name another file, or leave out --resume")
    return earlier


def _main() -> None:
    """Quantize with every tool and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="?", help="default: the built-in models")
    parser.add_argument("--evaluation-audio", type=Path, help="recordings to judge on")
    parser.add_argument("--only", nargs="+", help="models by name, in this order")
    names = [tool.name for tool in TOOLS]
    parser.add_argument("--tools", nargs="+", choices=names, metavar="NAME", default=names)
    parser.add_argument("--states", type=int, help="calibrate on so few (default: as `run` does)")
    parser.add_argument("--frames", type=int, help="frames of a transformer's state")
    parser.add_argument("--max-memory-gb", type=float, default=20, help="per tool")
    parser.add_argument("--max-seconds", type=float, default=1200, help="per tool")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--work", type=Path, help="where codes are kept from run to run")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    n, sizes = chosen.states, None
    if n is not None:
        clips = max(1, n // 2)
        sizes = FeedSizes(clips=clips, coarse_states=n, c2f_states=n, max_frames=chosen.frames)
    limits = Limits(chosen.max_memory_gb * 1e9, chosen.max_seconds)
    # So that the tool's process ends with this one, and the work folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    reporter = Printed()
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        work = Path(folder)
        models = chosen.models if chosen.models is not None else builtin_models(work)
        artifacts = [open_artifact(path) for path in find_models(models)]
        audio = Source(evaluation_audio=chosen.evaluation_audio).load_audio(reporter)
        content = opened(chosen.out, chosen.resume, audio.name, sizes)
        inputs = prepare_inputs(
            artifacts, Source(audio), chosen.work or work / "ground", 0, reporter
        )
        if chosen.only:
            by_name = {artifact.name: artifact for artifact in artifacts}
            artifacts = [by_name[name] for name in chosen.only]
        tools = [tool for tool in TOOLS if tool.name in chosen.tools]
        compare_tools(artifacts, inputs, sizes, limits, work, chosen.out, content, tools)


if __name__ == "__main__":
    _main()
