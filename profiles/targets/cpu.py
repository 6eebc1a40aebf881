"""The CPU provider of desktops and servers: measured on this machine."""

from __future__ import annotations

from dataclasses import replace

from profiles.measure.measure import measure
from profiles.measure.operators import profile_operators
from profiles.measure.roofline import measure_peaks, roofline
from profiles.place import cpu
from profiles.targets.contract import Profiler, Request, Target
from profiles.targets.examined import with_derived
from vampnet_models.records.manifest import TelemetrySwitch
from vampnet_models.records.profiles import Measurement, Profile
from vampnet_models.telemetry import VARIABLE


def _profile(request: Request) -> dict[str, Profile]:
    """Time the variants in turns.

    With `operators`, each record also says where the time goes (`operator_times`) and how far it
    is (`roofline`) from what this machine allows (`peaks`, measured first).
    """
    place, tell = request.place, request.tell
    peaks = None
    if request.operators:
        tell(0, 1)
        peaks = measure_peaks(place)
    models = list(request.variants.items())
    measured = measure(models, request.feeds_path, place, plan=request.plan, progress=tell)
    records: dict[str, Profile] = {}
    for recipe, record in measured.items():
        if isinstance(record, Measurement):
            path = request.variants[recipe]
            examined = request.examined(path)
            record = with_derived(request, examined, record)
            if peaks is not None:
                record = replace(
                    record,
                    operator_times=profile_operators(path, request.feeds_path, place),
                    peaks=peaks,
                    roofline=roofline(examined.cost, peaks, record.median_s),
                )
        records[recipe] = record
    return records


CPU = Target(
    name="cpu",
    provider=cpu().provider,
    telemetry=TelemetrySwitch(
        "environment",
        "loading onnxruntime",
        f"on Linux and macOS set {VARIABLE}=1 in the environment before ONNX Runtime is loaded "
        "(selfcheck.py and open_models.py do); on Windows call OrtApi::DisableTelemetryEvents "
        "(Python: onnxruntime.disable_telemetry_events()) first of all",
    ),
    profiler=Profiler(
        name="cpu",
        title="CPU",
        profile=_profile,
        remedy="run: vampbench profile MODEL... --target cpu",
        provider=cpu().provider,
        takes_threads=True,
    ),
    takes_ort=True,
)
