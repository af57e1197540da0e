"""What a search needs of the command line, which hands it over: a check of options, and a fit in its own process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from project.runs.directories import CONFIG

Report = Callable[[int, float], bool]
"""Takes the percent of the run that is trained, and the objective; returns whether the run is to end."""


@dataclass(frozen=True)
class Fit:
    """A run that begins, or that goes on if its directory exists."""

    words: Sequence[str]
    """Of the command line, after fit; they begin the run."""
    run: Path
    """Its directory version_n."""
    objective: str
    threads: int
    log: Path
    """The file for what the fit prints."""

    @property
    def current_words(self) -> list[str]:
        """The words that begin the run, or that go on with it if it has begun."""
        config = self.run / CONFIG
        return ["--config", str(config), "--ckpt_path", "last"] if config.exists() else list(self.words)


class Fits(Protocol):
    """How fits are checked and run."""

    def check(self, candidates: Sequence[Sequence[str]], objective: str) -> Mapping[str, Any]:
        """The settings of the first candidate. Raises UserError if a fit with the words of one cannot begin."""

    def run(self, fit: Fit, report: Report) -> str:
        """The error line of a fit that failed; empty for one that finished, or that ended because it was asked to.

        Raises:
            UserError: the disk is full, or cannot be written. The run can go on.
            BaseException: this process, or the fit, was asked to stop. The run can go on.
        """

    def test(self, run: Path) -> Mapping[str, float]:
        """What the test measures of the run's best checkpoint."""
