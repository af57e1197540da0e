"""What many processes would reach, computed from what one process reaches and from assumptions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PROCESSES = (1, 2, 8, 64, 512)
MOST_PROCESSES = 100_000  # among which a limit is searched
WORTH = 0.1  # the share of a step that the exchange of gradients may take

ASSUMPTIONS: dict[str, tuple[float, str]] = {
    "tflops": (312, "peak of a GPU in TFLOP/s (NVIDIA A100, bfloat16)"),
    "share": (0.2, "share of this peak that ResNet-50 reaches"),
    "gpu_batch": (256, "images of a GPU in a step"),
    "gpu_link": (25, "GB/s between GPUs (InfiniBand, 200 Gbit/s)"),
    "cpu_link": (1.25, "GB/s between processes on CPUs (Ethernet, 10 Gbit/s)"),
    "latency": (20, "microseconds of a message"),
    "critical": (8192, "largest batch of ResNet-50 without loss of accuracy"),
    "image_kb": (115, "KB of an image file (ImageNet: 148 GB of 1,281,167 files)"),
    "storage": (10, "GB/s that the storage of the files gives to all processes together"),
    "cores": (16, "CPU cores for each GPU"),
}


class Job(NamedTuple):
    """A network in many processes that compute at the same speed."""

    name: str
    batch: float
    """Images of a process in a step."""
    seconds: float
    """Of the computation of one image in one process."""
    hidden: float
    """The share of these seconds in which gradients are exchanged without loss of time."""
    gradients: float
    """Bytes."""
    link: float
    """Bytes per second between processes."""
    latency: float
    """Seconds of a message."""
    critical: float
    """Images of a global batch above which more images in it bring little."""
    file: float = 0
    """Bytes of an image file; 0: the images are in memory."""

    def exchange(self, processes: int) -> float:
        """Seconds in which the processes exchange their gradients."""
        return ring_seconds(self.gradients, processes, self.link, self.latency)

    def step(self, processes: int) -> float:
        """Seconds of the computation, and of the exchange that it does not hide."""
        computation = self.batch * self.seconds
        return computation + max(0, self.exchange(processes) - self.hidden * computation)

    def smallest_batch(self, processes: int) -> int:
        """Images of a process from which the exchange takes at most WORTH of a step."""
        return math.ceil(self.exchange(processes) / self.seconds / (self.hidden + WORTH / (1 - WORTH)))


def ring_seconds(size: float, processes: int, link: float, latency: float = 0) -> float:
    """Seconds of a ring all-reduce of `size` bytes over links of `link` bytes per second.

    Each process sends 2 (n - 1) messages of size / n bytes, one after the other. Source: Patarasuk and Yuan, "Bandwidth
    optimal all-reduce algorithms for clusters of workstations" (2009).
    """
    return 2 * (processes - 1) * (size / processes / link + latency)


def computed(job: Job) -> list[dict[str, Any]]:
    """A row for each number of processes."""
    rows = []
    for processes in PROCESSES:
        seconds, batch = job.step(processes), processes * job.batch
        row = {"processes": processes, "global batch": round(batch), "exchange, ms": 1000 * job.exchange(processes)}
        row |= {"step, ms": 1000 * seconds, "images per second": round(batch / seconds)}
        row |= {"efficiency": job.step(1) / seconds, "batch over critical batch": batch / job.critical}
        rows.append({**row, "GB/s of files": batch / seconds * job.file / 1e9})
    return rows


def limits(jobs: Sequence[Job], decoded: float, assumed: Mapping[str, float]) -> list[dict[str, Any]]:
    """When each of the three becomes the limit. `decoded` is the image files that a core decodes in a second."""
    columns = {job.name: _limits(job, decoded, assumed) for job in jobs}
    return [
        {"limit": limit, **{name: column[limit] for name, column in columns.items()}} for limit in columns[jobs[0].name]
    ]


def _limits(job: Job, decoded: float, assumed: Mapping[str, float]) -> dict[str, float | None]:
    counts = range(2, MOST_PROCESSES)
    exchange = next((count for count in counts if job.smallest_batch(count) > job.batch), None)
    both = next((count - 1 for count in counts if count * job.smallest_batch(count) > job.critical), None)
    files = job.batch / job.step(1) if job.file else None  # that a process needs in a second
    return {
        "images of a process in a step": job.batch,
        f"gradient exchange: from this many processes on, it takes more than {WORTH:.0%} of a step": exchange,
        "batch size: with this many processes, the global batch is the critical one": job.critical / job.batch,
        "both: the most processes with less exchange and no larger global batch": both,
        "their images of a process in a step": both and job.critical // both,
        "data: MB of image files per second of a process": files and files * job.file / 1e6,
        "processes to which the storage gives these": files and assumed["storage"] * 1e9 / (files * job.file),
        f"cores that decode for a process, of {assumed['cores']:g}": files and files / decoded,
    }
