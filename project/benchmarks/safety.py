"""What it costs a step of convnet.yaml that its run can be killed and resumed."""

import contextlib
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from project.benchmarks.report import report
from project.benchmarks.runs import CONFIGS
from project.callbacks import Checkpoints, FiniteLoss
from project.cli.main import main
from project.data import batches

PARTS: dict[str, list[tuple[Any, str]]] = {
    "seeds of a step": [(batches, "_seed_torch")],
    "losses that are not finite": [
        (FiniteLoss, "on_train_batch_start"),
        (FiniteLoss, "on_train_batch_end"),
        (FiniteLoss, "on_boundary"),
    ],
    "checkpoints and signals": [(Checkpoints, "on_boundary")],
}


def safety(data_dir: str, turns: int, further: Sequence[str] = ()) -> None:
    """An epoch of convnet.yaml with its checkpoint: milliseconds a step of each part, and its share of the step."""
    totals: Counter[str] = Counter()
    for turn in range(1, turns + 1):
        totals += _epoch(data_dir, further)
        print(f"turn {turn} of {turns}", flush=True)
    steps, whole = totals.pop("steps"), totals.pop("train_seconds")
    totals["all"] = totals.total()
    rows = [
        {"part": part, "ms a step": 1000 * seconds / steps, "share of the step": seconds / whole}
        for part, seconds in totals.items()
    ]
    report("safety", rows, steps=steps, ms_a_step=1000 * whole / steps, command=list(further))


def _epoch(data_dir: str, further: Sequence[str]) -> Counter[str]:
    spent: Counter[str] = Counter()
    words = ["fit", "--config", str(CONFIGS / "convnet.yaml"), "--data.data_dir", data_dir, "--trainer.max_epochs", "1"]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for part, methods in PARTS.items():
            for owner, name in methods:
                stack.enter_context(patch.object(owner, name, _timed(getattr(owner, name), spent, part)))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        main([*words, "--trainer.default_root_dir", folder, *further])
        (file,) = Path(folder).rglob("results.json")
        results = json.loads(file.read_text())
    return spent + Counter({name: results[name] for name in ("steps", "train_seconds")})


def _timed(method: Callable[..., Any], spent: Counter[str], part: str) -> Callable[..., Any]:
    @contextlib.contextmanager
    def clock() -> Iterator[None]:
        started = time.perf_counter()
        yield
        spent[part] += time.perf_counter() - started  # type: ignore[assignment]

    def timed(*args: Any, **options: Any) -> Any:
        with clock():
            return method(*args, **options)

    return timed
