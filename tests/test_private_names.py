"""Names of other packages that may change under this project without a word.

A method that overrides a hook does nothing from the day on which the hook is renamed, and a private name may go with
any release. So here stand all private names that the project uses, each with its reason, and each method that another
package is to call is looked for in the class that it comes from. pyproject.toml bounds lightning and jsonargparse by
the newest releases with which this file passed.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

import pytest

import project
from project.training.trainer import ExperimentTrainer
from tests.conftest import REPOSITORY


class Private(NamedTuple):
    """A private name of `owner`, a class or a module, and what is taken by it; None where it is no function."""

    owner: str
    name: str
    parameters: list[str] | None
    why: str


CLI = "lightning.pytorch.cli.LightningCLI"
LOOPS = "lightning.pytorch.loops"
CONNECTOR = "lightning.pytorch.trainer.connectors.checkpoint_connector"
EPOCH_LOOP = f"{LOOPS}.training_epoch_loop._TrainingEpochLoop"
LAUNCHER = "lightning.pytorch.strategies.launchers.subprocess_script"
PRIVATE = [
    # Overridden.
    Private(CLI, "_parse_ckpt_path", ["self"], "else a checkpoint's settings win over the command line"),
    Private(CLI, "_prepare_subcommand_kwargs", ["self", "subcommand"], "gives fit and test what is no option"),
    Private(EPOCH_LOOP, "_broadcast_sigterm_tensor", ["self"], "else processes wait for each other at every step"),
    Private(EPOCH_LOOP, "_build_kwargs", ["self", "kwargs", "batch", "batch_idx"], "looks up a signature at each step"),
    Private(
        f"{CONNECTOR}._CheckpointConnector",
        "_parse_ckpt_path",
        ["self", "state_fn", "ckpt_path", "model_provided", "model_connected"],
        "else a new fit loads a file that nobody named",
    ),
    # Used.
    Private(
        "lightning.pytorch.callbacks.RichProgressBar",
        "_get_train_description",
        ["self", "current_epoch"],
        "counts epochs from 1",
    ),
    Private(f"{LOOPS}.fit_loop", "_FitLoop", ["trainer", "min_epochs", "max_epochs"], "loops have no public name"),
    Private(f"{LOOPS}.training_epoch_loop", "_TrainingEpochLoop", ["trainer", "min_steps", "max_steps"], "likewise"),
    Private(CONNECTOR, "_CheckpointConnector", ["trainer"], "likewise"),
    Private(EPOCH_LOOP, "_should_accumulate", ["self"], "whether the optimizer steps after this batch"),
    Private(EPOCH_LOOP, "_num_ready_batches_reached", ["self"], "whether this batch is the last of its epoch"),
    Private(EPOCH_LOOP, "_batches_that_stepped", None, "the step at which Lightning logs"),
    Private(f"{LOOPS}.fit_loop._FitLoop", "_restarting", None, "its public setter keeps True for a run by steps"),
    Private(LAUNCHER, "_SubprocessScriptLauncher", None, "has started the other processes of a run"),
    Private("argparse.ArgumentParser", "_actions", None, "argparse has no list of options"),
    Private("torch.cpu", "_is_avx512_bf16_supported", [], "torch has no public name for what a CPU can do"),
    Private("torch.cpu", "_is_amx_tile_supported", [], "likewise"),
    Private(
        "torch.optim.Optimizer", "_accelerator_graph_capture_health_check", ["self"], "looks for a GPU at each step"
    ),
    Private("torch", "_dynamo", None, "two of its config's names are public in no release, or not in 2.11"),
    Private("torch.ops.mkldnn", "_is_mkldnn_bf16_supported", None, "likewise"),
    *(
        Private("torch", f"_foreach_{name}", None, "one kernel for all weights; torch documents it as a prototype")
        for name in ("add", "add_", "mul_", "sub_")
    ),
]


def found(owner: str) -> Any:
    thing = locate(owner) or locate(owner.rpartition(".")[0])
    return thing if locate(owner) else getattr(thing, owner.rpartition(".")[2])


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: private.name)
def test_each_private_name_is_there(private: Private) -> None:
    thing = getattr(found(private.owner), private.name, None)
    if private.name == "_actions":
        thing = found(private.owner)()._actions
    if private.name == "_batches_that_stepped":
        thing = ExperimentTrainer(accelerator="cpu", logger=False).fit_loop.epoch_loop._batches_that_stepped
    if private.name == "_restarting":
        loop = ExperimentTrainer(accelerator="cpu", logger=False).fit_loop
        loop._restarting = thing = True
        assert loop.restarting is True  # of which it is the value
    assert thing is not None
    if private.parameters is not None:
        assert parameters(thing) == private.parameters


def test_no_other_private_names() -> None:
    overridden = {name for kind, name, _ in methods() if is_private(name) and outside(kind, name)}
    assert overridden | {name for tree in TREES for name in foreign(tree)} == {private.name for private in PRIVATE}


# Hooks that LightningCLI looks for but does not define, and Arrays.of, which people call.
BY_NAME = {"after_fit", "after_validate", "after_test", "after_predict", "of"}


def test_each_method_is_called() -> None:
    """A method that nobody calls here is one that another package is to call, and takes what that gives."""
    calls = {node.attr for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    hooks = 0
    for kind, name, method in methods():
        base = outside(kind, name)
        assert base or name in calls or name in BY_NAME, f"nobody calls {kind.__name__}.{name}"
        if base and callable(method) and callable(getattr(base, name)):
            assert takes(parameters(method), parameters(getattr(base, name))), f"{kind.__name__}.{name}"
            hooks += 1
    assert hooks > 60


def test_bounds() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [one for extra in settings["optional-dependencies"].values() for one in extra]
    bounded = [re.split(r"[\[<>=]", one)[0] for one in (*settings["dependencies"], *extras) if "<" in one]
    assert bounded == ["lightning", "jsonargparse"]


def takes(own: list[str], base: list[str]) -> bool:
    """Whether a method with its `own` parameters can be called as one with those of its `base`."""
    return own[: len(base)] == base or bool({"args", "kwargs", "options"} & {*own, *base})


TREES = [ast.parse(path.read_text()) for path in Path(project.__file__).parent.rglob("*.py")]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_abc_impl"


def methods() -> Iterator[tuple[type, str, Any]]:
    """Methods and properties of the project's classes that stand on a class of Lightning or jsonargparse."""
    for module in pkgutil.walk_packages(project.__path__, "project."):
        for kind in vars(importlib.import_module(module.name)).values():
            if not inspect.isclass(kind) or kind.__module__ != module.name or not _stands_on_others(kind):
                continue
            for name, value in vars(kind).items():
                function = value.__func__ if isinstance(value, staticmethod) else value
                if (inspect.isfunction(function) or isinstance(value, property)) and not name.endswith("__"):
                    yield kind, name, function


def _stands_on_others(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] in ("lightning", "jsonargparse") for base in kind.__mro__)


def outside(kind: type, name: str) -> type | None:
    """The class of another package from which `kind` has the method."""
    bases = (base for base in kind.__mro__ if base.__module__.partition(".")[0] != "project")
    return next((base for base in bases if name in vars(base)), None)


def foreign(tree: ast.AST) -> Iterator[str]:
    """Private names that a module takes from another package: those that nobody in the project has made."""
    for node in ast.walk(tree):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
            names = [part.value for part in node.args[1:2] if isinstance(part, ast.Constant)]
        yield from (name for name in names if is_private(name) and name not in OWN)


def _made(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node.value, ast.Name) and node.value.id == "self":
                yield node.attr


OWN = {name for tree in TREES for name in _made(tree)}
