"""Which checkpoints of a run are the best."""

from typing import Literal

Mode = Literal["min", "max"]


class Ranking:
    """The best checkpoints of a run by one value, the best first; of equal ones, the earlier first."""

    def __init__(self, monitor: str, mode: Mode | None, keep: int) -> None:
        """Rank by `monitor`. The `mode` None is min for a loss and max for any other value."""
        self.monitor, self.keep = monitor, keep
        self.mode: Mode = mode or ("min" if "loss" in monitor else "max")
        self.entries: list[tuple[float, str]] = []
        """Value and name of each checkpoint."""

    @property
    def best_value(self) -> float | None:
        return self.entries[0][0] if self.entries else None

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.entries]

    def add(self, value: float, name: str) -> None:
        """Add a checkpoint, and drop those that are then not among the best."""
        entries = [*(entry for entry in self.entries if entry[1] != name), (value, name)]
        entries.sort(key=lambda entry: entry[0], reverse=self.mode == "max")
        self.entries = entries[: self.keep]
