"""Real processes are killed and resumed, and end with the bits of a run that was left alone."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from project.benchmarks.comparison import differences
from project.benchmarks.processes import run_main
from project.benchmarks.resume import FILES, TABLE, arguments_of, random_settings, trial, write_digits

PLAIN = {
    **{"experiment": "mlp", "batch_size": 100, "accumulate": 1, "precision": "32-true", "averaging": False},
    **{
        "plateau": False,
        "every_n_steps": None,
        "val_check_interval": 1.0,
        "processes": 1,
        "seed": 3,
        "pictures": False,
        "transforms": "null",
        "mix": "null",
        "source": "memory",
        "balance": "none",
    },
}
TABLE_OF_FILES = {"source": "table", "balance": "weights"}
CASES: dict[str, dict[str, Any]] = {
    # The validation that a plateau schedule looks at is not of the last batch, and is in the checkpoint.
    "plateau, last batch": {"plateau": True, "val_check_interval": 0.5, "every_n_steps": 4},
    "validation": {"experiment": "dropout", "averaging": True, "every_n_steps": 7, "pictures": True},
    "last batch": {"experiment": "speed", "precision": "bf16-mixed", "every_n_steps": 5, **TABLE_OF_FILES},
    "while a checkpoint is written": {"experiment": "convnet", "accumulate": 3, "plateau": True, "every_n_steps": 3},
    "two processes, last batch": {"experiment": "dropout", "plateau": True, "processes": 2, "every_n_steps": 5}
    | {"balance": "oversample"},
}


@pytest.mark.parametrize("moment", CASES)
def test_killed(moment: str, tmp_path: Path) -> None:
    settings = {**PLAIN, **CASES[moment], "moment": moment.rpartition(", ")[2]}
    if settings["source"] != "memory":
        write_digits(FILES, TABLE)
    # The random numbers kill the first run twice and the others once, since each start takes seconds.
    numbers = {"plateau, last batch": 1, "two processes, last batch": 4}.get(moment, 3)
    outcome = trial(tmp_path / "trial", settings, random.Random(numbers))
    assert outcome["differences"] == []
    assert outcome["kills"] > 0


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    assert run_main(arguments_of(PLAIN), folder / "3") == 0
    return folder / "3/lightning_logs/mlp/version_0"


def test_killed_before_its_first_checkpoint(tmp_path: Path, plain_run: Path) -> None:
    words = arguments_of(PLAIN)
    assert run_main(words, tmp_path / "killed", ("validation", 1)) == -9
    assert not list(tmp_path.glob("killed/**/*.ckpt"))
    assert run_main([*words, "--ckpt_path", "last"], tmp_path / "killed") == 0
    assert differences(plain_run, tmp_path / "killed/lightning_logs/mlp/version_0") == []


def test_what_differs_is_found(tmp_path: Path, plain_run: Path) -> None:
    assert run_main(arguments_of({**PLAIN, "seed": 4}), tmp_path / "4") == 0
    ours, theirs = plain_run, tmp_path / "4/lightning_logs/mlp/version_0"
    found = differences(ours, theirs)
    for place in ("last.ckpt: state_dict.network.1.weight", "last.ckpt: optimizer_states.0.state.0.exp_avg"):
        assert place in found
    assert any(line.startswith("curves: lost ('train/loss'") for line in found)
    assert "results.json: test/loss" in found
    shutil.copytree(ours, tmp_path / "copy")
    assert differences(ours, tmp_path / "copy") == []
    table = tmp_path / "copy/metrics.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines[:3], *lines[2:]]))
    assert len(differences(ours, tmp_path / "copy")) == 1


def test_settings_are_drawn_by_their_number() -> None:
    assert random_settings(7) == random_settings(7)
    assert len({str(random_settings(number)) for number in range(50)}) == 50
