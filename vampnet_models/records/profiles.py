"""What is known of one variant on one target: a measurement, an estimate, neither, or a failure.

Times are in seconds, of one run on the feeds that were given; shares are 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vampnet_models.records.host import Host


@dataclass(frozen=True)
class StoreFit:
    """A store's limit on one part of an app as delivered, in bytes, and whether it holds this."""

    store: str
    part: str
    limit_bytes: int
    fits: bool


@dataclass(frozen=True)
class Delivered:
    """What a store delivers: size on disk and compressed, in bytes; `zipped_exact` or sampled."""

    bytes: int
    zipped_bytes: int
    zipped_exact: bool
    stores: tuple[StoreFit, ...]


@dataclass(frozen=True)
class KernelShare:
    """Kernels of one operator, block or node in a median run.

    share: of the time of all kernels.
    integer_flops: of `flops`, those in integer kernels.
    bytes: of their inputs and outputs.
    """

    name: str
    calls: int
    seconds: float
    share: float
    flops: int
    integer_flops: int
    bytes: int
    flops_per_s: float


@dataclass(frozen=True)
class OperatorTimes:
    """Kernel times of a median of `runs`; `outside_s` is the run's time outside of kernels.

    A node's row is named `operator node`: what it is and where.
    """

    runs: int
    kernels_s: float
    outside_s: float
    by_operator: tuple[KernelShare, ...]
    by_block: tuple[KernelShare, ...]
    by_node: tuple[KernelShare, ...]


@dataclass(frozen=True)
class Peaks:
    """The best rates seen on a host with so many threads."""

    threads: int
    fp32_flops_per_s: float
    int8_ops_per_s: float
    copy_bytes_per_s: float

    def rate(self, precision: str) -> float:
        """Operations per second for a node's precision; FP16 and the rest run as FP32 here."""
        return self.int8_ops_per_s if precision == "int8" else self.fp32_flops_per_s

    def bound_s(self, kernel: KernelShare) -> float:
        """The least time: all arithmetic at peak, or every tensor moved once, the longer."""
        in_float = (kernel.flops - kernel.integer_flops) / self.fp32_flops_per_s
        in_integer = kernel.integer_flops / self.int8_ops_per_s
        return max(in_float + in_integer, kernel.bytes / self.copy_bytes_per_s)


@dataclass(frozen=True)
class Roofline:
    """A model against the peaks.

    floor_s: cannot be beaten: all arithmetic at peak, or all weights read once, the longer.
    per_node_s: with what each node would wait for if every tensor went to memory and back; caches
        let real runs pass below it.
    memory_bound_share: of that, waiting for memory.
    efficiency: the floor over the measured time: the share of the possible speed that was reached.
    """

    floor_s: float
    per_node_s: float
    measured_s: float
    memory_bound_share: float
    flops_per_byte: float
    efficiency: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Nodes of one operator that a runtime refuses for one reason."""

    op_type: str
    reason: str
    nodes: int
    flops: int


@dataclass(frozen=True)
class RuntimeCoverage:
    """How much of a graph a runtime's kernels take.

    node_share, flops_share: of `nodes`, and of their FLOPs.
    partitions: stretches of supported nodes in graph order; each begins and ends with a hand-over.
    source: where the runtime's table comes from.
    """

    runtime: str
    nodes: int
    supported: int
    node_share: float
    flops_share: float
    partitions: int
    refusals: tuple[Refusal, ...]
    source: str | None = None


@dataclass(frozen=True)
class PlatformChoice:
    """Of a kind of phone, the runtime that takes the most of the arithmetic."""

    platform: str
    runtime: str
    node_share: float
    flops_share: float
    partitions: int


@dataclass(frozen=True)
class DeviceEstimate:
    """A range of times on one device; never a measurement.

    source, confidence: of the device's figures.
    memory_share: of the time, waiting for memory.
    needs_bytes: the model as it lies in the file and the tensors of its widest node;
    fits_memory: whether an app may hold that on the device.
    """

    device: str
    low_s: float
    high_s: float
    source: str
    platform: str | None = None
    memory_share: float | None = None
    needs_bytes: int | None = None
    fits_memory: bool | None = None
    confidence: str | None = None
    kind: Literal["estimate"] = "estimate"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Times of one variant in a process of its own; raw samples in the order they were taken.

    target: the place, with threads and cores.
    bytes: of the model's files.
    median_s to p99_s: of `samples_s`, the timed runs, one per round; `p99_s` with enough of them.
    warmup_s: the runs between the first and them.
    session_s: to open the model with its file in the page cache; `session_cold_s` with the file
        out of it, None where that could not be had.
    peak_rss_bytes: of the whole process, of which `base_rss_bytes` was there before the model.
    rss_after_load_bytes: resident when it was open, before the first run: much more than `bytes`
        means that the runtime unpacked the weights.
    overhead_s: what the harness adds to every run.
    yardstick_s: what the same rounds took a fixed workload; empty where the plan has none.
    outliers: of the samples, by index.
    noisy: whether the samples are too noisy to trust; `spread`, `drift` and `foreign_share` say.
    ratio_to_reference, ratio_interval, verdict: against the reference of the same rounds.
    audio_s: the sound that one run stands for; `real_time_factor` is the time over it, and
        `ms_per_step` what one sampling step of a transformer takes.
    feed_shapes, flops, flops_per_s, flops_by_precision: of one run.
    operator_times, peaks, roofline: where the time goes, where that was asked for.
    device: of a GPU, as its driver names it; `with_copies_median_s` and `with_copies_samples_s`
        include the copies of inputs and outputs.
    host: the machine that measured, where it is not the file's.
    """

    kind: Literal["measurement"] = "measurement"
    target: str
    median_s: float
    threads: int | None = None
    bytes: int | None = None
    p10_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    n_samples: int | None = None
    samples_s: tuple[float, ...] = ()
    warmup_s: tuple[float, ...] = ()
    session_s: float | None = None
    session_cold_s: float | None = None
    first_run_s: float | None = None
    peak_rss_bytes: int | None = None
    base_rss_bytes: int | None = None
    rss_after_load_bytes: int | None = None
    overhead_s: float | None = None
    yardstick_s: tuple[float, ...] = ()
    outliers: tuple[int, ...] = ()
    noisy: bool = False
    spread: float | None = None
    drift: float | None = None
    foreign_share: float | None = None
    ratio_to_reference: float | None = None
    ratio_interval: tuple[float, float] | None = None
    verdict: str | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    audio_s: float | None = None
    real_time_factor: float | None = None
    ms_per_step: float | None = None
    feed_shapes: dict[str, tuple[int, ...]] | None = None
    flops: int | None = None
    flops_per_s: float | None = None
    flops_by_precision: dict[str, int] | None = None
    operator_times: OperatorTimes | None = None
    peaks: Peaks | None = None
    roofline: Roofline | None = None
    device: dict[str, str] | None = None
    with_copies_median_s: float | None = None
    with_copies_samples_s: tuple[float, ...] | None = None
    host: Host | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A range of times over devices that are not here; sizes are facts, coverage is from tables.

    assumptions: what the range rests on.
    bytes, zipped_bytes: of the model's files, and as a store delivers them (`zipped_exact`, or from
        samples).
    ort_bytes, ort_reason: of the ORT-format file, or why there is none.
    required_operators: names by `domain;opset`, for a reduced build of the runtime.
    coverage: by runtime.
    """

    kind: Literal["estimate"] = "estimate"
    low_s: float | None
    high_s: float | None
    assumptions: tuple[str, ...]
    devices: tuple[DeviceEstimate, ...] = ()
    bytes: int | None = None
    zipped_bytes: int | None = None
    zipped_exact: bool | None = None
    ort_bytes: int | None = None
    ort_reason: str | None = None
    required_operators: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stores: tuple[StoreFit, ...] = ()
    coverage: dict[str, RuntimeCoverage] = field(default_factory=dict)
    platforms: tuple[PlatformChoice, ...] = ()
    notes: tuple[str, ...] = ()
    host: Host | None = None


@dataclass(frozen=True, kw_only=True)
class NotMeasured:
    """A target that is not here: why, what the files tell without it, and labelled estimates.

    remedy: what to do for a measurement, where the reason does not say it.
    operators: what its kernels take of the graph.
    """

    kind: Literal["not-measured"] = "not-measured"
    reason: str | None = None
    remedy: str | None = None
    bytes: int | None = None
    operators: RuntimeCoverage | None = None
    notes: tuple[str, ...] = ()
    estimates: tuple[DeviceEstimate, ...] = ()
    assumptions: tuple[str, ...] = ()
    host: Host | None = None


@dataclass(frozen=True)
class Failure:
    """A variant that could not be measured, and why."""

    target: str | None
    reason: str
    kind: Literal["failed"] = "failed"
    host: Host | None = None


Profile = Measurement | Estimate | NotMeasured | Failure
"""What a target can say of a variant; `kind` tells which."""

Profiles = dict[str, dict[str, Profile]]
"""By recipe, then by target."""


def measured_on(profiles: Mapping[str, Profile], target: str) -> Measurement | None:
    """The measurement on a target; None where there is none."""
    found = profiles.get(target)
    return found if isinstance(found, Measurement) else None


@dataclass(frozen=True)
class ProfiledVariant:
    """One recipe, or file, and its profiles by target."""

    recipe: str
    profiles: dict[str, Profile]


@dataclass(frozen=True)
class ProfiledModel:
    """Variants of one model."""

    name: str
    variants: tuple[ProfiledVariant, ...]


@dataclass(frozen=True)
class ProfileFile:
    """What `vampbench profile -o` writes; `compared` is there where an earlier one was given."""

    host: Host
    models: tuple[ProfiledModel, ...]
    compared: tuple[dict[str, Any], ...] | None = None
