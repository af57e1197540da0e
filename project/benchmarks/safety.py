"""The time that checkpoints, seeds and checks add to a step of convnet.yaml."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_this_process
from project.benchmarks.report import report
from project.callbacks.checkpoints import Checkpoints
from project.callbacks.finite_loss import FiniteLoss
from project.data import batches

PARTS: dict[str, list[tuple[Any, str]]] = {
    "seeds of a step": [(batches, "_seed_torch")],
    "losses that are not finite": [
        (FiniteLoss, name) for name in ("on_train_batch_start", "on_train_batch_end", "on_boundary")
    ],
    "checkpoints and signals": [(Checkpoints, "on_boundary")],
}


def measure(data_dir: str, turns: int, fit_options: Sequence[str] = ()) -> None:
    """Report the milliseconds of each part in a step, and its share of the step, over epochs with a checkpoint each."""
    totals: Counter[str] = Counter()
    for turn in range(1, turns + 1):
        totals += _epoch(data_dir, fit_options)
        print(f"turn {turn} of {turns}", flush=True)
    steps, whole = totals.pop("steps"), totals.pop("train_seconds")
    totals["all"] = totals.total()
    rows = [
        {"part": part, "ms a step": 1000 * seconds / steps, "share of the step": seconds / whole}
        for part, seconds in totals.items()
    ]
    report("safety", rows, steps=steps, ms_a_step=1000 * whole / steps, command=list(fit_options))


def _epoch(data_dir: str, fit_options: Sequence[str]) -> Counter[str]:
    spent: Counter[str] = Counter()
    options = ["--data.data_dir", data_dir, "--trainer.max_epochs", "1", *fit_options]
    with contextlib.ExitStack() as stack:
        for part, methods in PARTS.items():
            for owner, name in methods:
                stack.enter_context(patch.object(owner, name, _timed(getattr(owner, name), spent, part)))
        results, _ = fit_in_this_process(fit_arguments([CONFIGS / "convnet.yaml"], options))
    return spent + Counter({name: results[name] for name in ("steps", "train_seconds")})


def _timed(method: Callable[..., Any], spent: Counter[str], part: str) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = method(*args, **options)
        spent[part] += time.perf_counter() - started  # type: ignore[assignment]
        return result

    return timed
