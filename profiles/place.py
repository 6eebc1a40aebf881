"""Where a measurement's sessions run."""

from __future__ import annotations

from dataclasses import dataclass

from profiles.host import affinity, available_cores


@dataclass(frozen=True)
class Place:
    """Sessions of one execution provider.

    name: the key of its figures in results.
    provider: ONNX Runtime's; empty where nothing is run, but estimated.
    threads: of a session; 0 where the provider has no threads of ours.
    """

    name: str
    provider: str
    threads: int = 0

    @property
    def label(self) -> str:
        """The name with what times depend on: threads and the cores they may use."""
        if not self.threads:
            return self.name
        plural = "s" if self.threads != 1 else ""
        return f"{self.name}, {self.threads} thread{plural}, cores {_spans(affinity())}"


def cpu(threads: int | None = None) -> Place:
    """The CPU provider; by default with a thread for each core that this process may use."""
    return Place("cpu", "CPUExecutionProvider", threads or available_cores())


def _spans(cores: tuple[int, ...]) -> str:
    """`(0, 1, 2, 5)` as `0-2,5`."""
    spans: list[list[int]] = []
    for core in cores:
        if spans and core == spans[-1][1] + 1:
            spans[-1][1] = core
        else:
            spans.append([core, core])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
