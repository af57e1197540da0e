"""Space files: what they say, and the error line of each mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from project.search.space import read_space, words_of

SPACE = """model.optimizer.lr: {log: [1e-4, 1.0e-1]}
data.shift: {int: [0, 4]}
data.mix: {choice: [null, {mixup: 0.2}]}
seed_everything: {all: [3, 5, 8]}
sampler: {class_path: RandomSampler, init_args: {seed: 7}}
"""


def test_settings_become_words(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    assert space.repeats == [{"seed_everything": seed} for seed in (3, 5, 8)]
    first, _, last = (words_of(example) for example in space.examples())
    assert first[:6] == ["--model.optimizer.lr", "0.0001", "--data.shift", "0", "--data.mix", "null"]
    assert last == [
        *("--model.optimizer.lr", "0.1", "--data.shift", "4", "--data.mix", "{mixup: 0.2}"),
        *("--seed_everything", "8"),
    ]
    assert (space.objective, space.direction) == ("val/accuracy", "maximize")
    assert type(space.make_pruner()).__name__ == "SuccessiveHalvingPruner"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: {log: [0, 1]}", "a: log [0, 1]: a logarithm needs numbers above 0; give float, or a first number such as"),
        ("a: {float: [2, 1]}", "a: float [2, 1]: the first number is the larger one; give the smallest value, then"),
        ("a: {int: [2, 2]}", "a: int [2, 2]: there is nothing between its ends; give the smallest value, then"),
        ("a: {int: [1, 2.5]}", "a: int [1, 2.5]: give two whole numbers, as in [0, 4]"),
        ("a: {float: []}", "a: float []: give two numbers, as in [0, 0.5]"),
        ("a: {float: [0, .inf]}", "a: float [0, .inf]: give two numbers, as in [0, 0.5]"),
        ("a: {choice: [125]}", "a: choice [125]: there is nothing to choose from; give at least two values, or leave"),
        ("a: {choice: [1, 1]}", "a: choice [1, 1]: a value stands twice; leave one out"),
        ("a: {chioce: [1, 2]}", "a: chioce is no range; did you mean choice?"),
        ("a: 0.1", "a: give one of log, float, uniform, int, choice, all with a list, as in {log: [1.0e-4, 1.0e-1]}"),
        ("seed_everything: {all: [1, 2]}", "no option varies; add a line such as model.optimizer.lr: {log: ["),
        ("a: {all: [1, 2]}\nb: {all: [1, 2]}", "b: only one option can have all; leave one out"),
        ("a: {int: [0, 1]}\nsampler: TPSampler", "sampler TPSampler: Optuna has none; did you mean TPESampler?"),
        (
            "a: {int: [0, 1]}\npruner: {class_path: HyperbandPruner, init_args: {max_resources: 1}}",
            "pruner HyperbandPruner: it has no max_resources; did you mean max_resource?",
        ),
        ("a: {int: [0, 1]}\npruner: PercentilePruner", "pruner PercentilePruner: it needs percentile; give init_args"),
        (
            "a: {int: [0, 1]}\npruner: {class_path: PatientPruner, init_args: {wrapped_pruner: 3, patience: 1}}",
            "pruner PatientPruner: 'int' object has no attribute 'prune'; see Optuna's documentation",
        ),
        (
            "a: {int: [0, 1]}\nsampler: {class_path: TPESampler, init_args: {n_ei_candidates: 0}}",
            "sampler TPESampler: index 0 is out of bounds for axis 0 with size 0; see Optuna's documentation",
        ),
        ("a: {int: [0, 1]}\nsampler: GridSampler", "sampler GridSampler: it needs search_space; give init_args"),
        (
            "a: {float: [0, 1]}\nsampler: BruteForceSampler",
            "sampler BruteForceSampler: FloatDistribution.step must be given for BruteForceSampler (otherwise, ",
        ),
        ("a: {int: [0, 1]}\ndirection: up", "direction up: give maximize or minimize"),
        ("- a", "holds no settings; see configs/search/convnet.yaml for what it should look like"),
        ("a: [", "not YAML ("),
        ("a: {int: [0, 1]}\nb:\n\tint: [0, 1]", "not YAML (line 3 has a tab; put spaces in its place)"),
        ("# for\n# f\udcfcr", "line 2 is not UTF-8; save the file in this encoding"),
        ("a: {int: [0, 1]}\na: {int: [0, 2]}", "a stands twice, in lines 1 and 2; leave one out"),
        (
            "a: {int: [0, 1]}\nsampler: {class_path: TPESampler, init_args: [1]}",
            "sampler TPESampler: init_args [1]: give them by name, as {seed: 1}",
        ),
    ],
)
def test_mistakes(text: str, line: str, error: Callable[..., str]) -> None:
    Path("space.yaml").write_bytes(text.encode(errors="surrogateescape"))
    assert error("search", "--space", "space.yaml").startswith(f"--space space.yaml: {line}")


def test_mistakes_of_the_command(error: Callable[..., str]) -> None:
    assert error("search", "--space", "no.yaml").startswith("--space no.yaml: No such file or directory; give a file")
    assert error("search") == "--space: missing; give it, or see --help"
    assert error("search", "--space", "") == "--space '': give a value, or leave it out"
    assert error("search", "--space", "a.yaml", "--trials", "0") == "--trials 0: give a number from 1 to 100000"
    assert error("search", "--space", "a.yaml", "--trials", "1e3") == "--trials 1e3: give a whole number"
    assert error("search", "--space", "a.yaml", "--confirm", "1").startswith("--confirm 1: give a number of seeds from")
    assert error("search", "--space", "a.yaml", "--trails", "5").startswith(
        "--trails 5: no such option of this command"
    )
