"""A compiled network trains as one that is not, and its checkpoints are the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from project.checkpoints.files import read
from project.cli.main import main

FIRST, SECOND = (Path(f"lightning_logs/mlp/version_{number}/checkpoints") for number in (0, 1))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """The graphs that are compiled, by a backend that runs them as they are: torch's own needs a C++ compiler."""
    seen: list[torch.fx.GraphModule] = []
    original = nn.Module.compile

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", lambda self: original(self, backend=backend))
    return seen


def test_compiled(digits: Callable[..., list[str]], graphs: list[torch.fx.GraphModule]) -> None:
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "5", "--model.lr_scheduler", "null"]
    main(["fit", *words])
    assert graphs == []
    main(["fit", *words, "--model.compile", "true", "--trainer.max_epochs", "1"])
    assert len(graphs) > 0
    main(["fit", *words, "--model.compile", "true", "--ckpt_path", "last"])
    plain, compiled = (read(folder / "last.ckpt")["state_dict"] for folder in (FIRST, SECOND))
    assert plain.keys() == compiled.keys()
    for name, weights in plain.items():
        torch.testing.assert_close(compiled[name], weights)
    main(["test", *words, "--ckpt_path", str(SECOND / "best.ckpt")])
    main(["test", *words, "--model.compile", "true", "--ckpt_path", str(FIRST / "best.ckpt")])
