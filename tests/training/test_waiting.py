"""A training step never makes the CPU wait for the GPU.

Without a GPU, the training takes place on torch's device `meta`, which has shapes and no numbers. Whatever would wait
for a GPU to have a number fails there, and each copy between the CPU and this device is seen. With a GPU, torch itself
looks. The same steps show which operators a run needs. torch's table of kernels says whether Apple's GPUs have them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgen
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from project.cli.main import main
from project.networks import WhitenedConvNet
from project.system.hardware import copy_to
from project.training.classifier import Classifier
from tests.conftest import CONFIGS, Stopped

ON_GPU = torch.cuda.is_available()
FIRST, LAST = 2, 6  # steps that are watched; the first ones also make what lasts, such as states of the optimizer
QUIET = ["--trainer.log_every_n_steps", "1000", "--checkpoints.every_n_steps", "1000", "--trainer.max_epochs", "4"]
TABLE = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
OPERATORS = {entry.partition("(")[0]: entry for entry in TABLE.read_text("utf-8").split("\n- func: ")[1:]}
CALLBACKS = [
    f"--trainer.callbacks+={name}" for name in ("AveragedWeights", "GradientNorm", "PeakMemory", "EarlyStopping")
]
EACH_IMAGE = "{mixup: 0.2, cutmix: 1.0, each: image}"
SMALL = ["--model.network.image_size", "32"]
RUNS = {
    "perceptron": [],
    "mlp": [*CALLBACKS, "--trainer.callbacks.monitor", "train/loss"],
    "article": ["--data.mix", EACH_IMAGE, "--data.transforms", "[RandomHorizontalFlip, RandomErasing]"],
    "convnet": ["--data.mix", "{mixup: 0.2, cutmix: 1.0}"],
    "finetune": ["--model.network.name", "shufflenet_v2_x0_5", "--model.network.weights", "null", *SMALL],
    "resnet18": [],
    "speed": ["--model.network.widths", "[8, 8, 8]"],
}


class Copies(TorchFunctionMode):
    """Counts what would make the CPU wait: tensors made from numbers, copies that are not asynchronous, masks."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()
        self.operators = Operators(self.counted)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor, torch.asarray) and made.device.type == "meta":
            self.counted[function.__name__] += 1  # the device meta makes it without a copy
        return made


class Operators(TorchDispatchMode):
    """Counts the operators among these, and has the names of all that run on the device."""

    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()
        self.counted = counted
        self.names: set[str] = set()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        if len(on_cpu) < len(tensors):
            self.names.add(operator.name())
        if operator in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            waits = not ((kwargs or {}).get("non_blocking") or args[2:3] == (True,))
        else:
            waits = any(tensor.ndim for tensor in on_cpu)  # an operator takes a single number of the CPU along
        second = [leaf.dtype for leaf in tree_leaves(args[1:2]) if isinstance(leaf, torch.Tensor)]
        masked = "index" in str(operator) and torch.bool in second
        if (0 < len(on_cpu) < len(tensors) and waits) or masked:
            self.counted[str(operator)] += 1
        return result


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Copies]:
    """What was counted in the steps that are watched, of a run that ends after them."""
    copies = Copies()
    original = Classifier.training_step

    def watch(begins: bool) -> None:
        if ON_GPU:
            torch.cuda.set_sync_debug_mode("error" if begins else "default")
        elif begins:
            copies.__enter__()
            copies.operators.__enter__()
        else:
            copies.operators.__exit__(None, None, None)
            copies.__exit__(None, None, None)

    def training_step(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == LAST:
            watch(False)
            raise Stopped
        if self.global_step == FIRST:
            watch(True)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    if not ON_GPU:
        _use_meta(monkeypatch)
    yield copies
    if ON_GPU:
        torch.cuda.set_sync_debug_mode("default")


def _use_meta(patched: pytest.MonkeyPatch) -> None:
    """Let Lightning train on the device meta. It has no random numbers, and nothing can be copied back from it."""
    meta = torch.device("meta")
    patched.setattr(SingleDeviceStrategy, "setup_environment", lambda self: setattr(self, "_root_device", meta))
    patched.setattr(CPUAccelerator, "setup_device", lambda self, device: None)
    patched.setattr(Trainer, "_teardown", lambda self: None)
    for loop in ("fit_loop", "evaluation_loop"):
        patched.setattr(f"lightning.pytorch.loops.{loop}.has_len_all_ranks", lambda *_: True)
    patched.setattr("project.data.batches._seed_torch", lambda *_: None)
    patched.setattr(WhitenedConvNet, "initialize", lambda self, images: None)


@pytest.mark.parametrize("run", RUNS)
def test_no_step_waits(run: str, copies: Copies, cifar10_dir: Path) -> None:
    words = ["--config", str(CONFIGS / f"{run}.yaml"), "--data.data_dir", str(cifar10_dir)]
    words += ["--data.batch_size", "5", "--data.val_size", "0", *QUIET, *RUNS[run]]
    words += [
        "--trainer.accelerator",
        "gpu" if ON_GPU else "cpu",
        "--trainer.devices",
        "1",
        "--trainer.precision",
        "32",
    ]
    with pytest.raises(Stopped):
        main(["fit", *words])
    assert copies.counted == {}
    assert [name for name in copies.operators.names if name.startswith("aten::") and not apple_has(name)] == []


def apple_has(name: str) -> bool:
    """Whether torch's own table gives an operator a kernel for Metal, or makes it of others that are looked at too."""
    entry = OPERATORS[name.removeprefix("aten::")]
    if delegate := re.search(r"structured_delegate: (\S+)", entry):
        return apple_has(delegate[1])
    return "dispatch:" not in entry or re.search(r"\bMPS\b|Composite(Ex|Im)plicitAutograd", entry) is not None


def test_operators_that_apple_lacks() -> None:
    assert [apple_has(f"aten::{name}") for name in ("_linalg_eigvals", "mm", "_foreach_add.Scalar")] == [
        False,
        True,
        True,
    ]


def test_copies_to_a_gpu_come_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: calls.append("pinned") or values)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, *where, **how: calls.append((*where, how)))
    for device in (torch.device("cuda"), torch.device("cpu")):
        copy_to(torch.zeros(2), device)
    assert calls == [
        "pinned",
        (torch.device("cuda"), {"non_blocking": True}),
        (torch.device("cpu"), {"non_blocking": False}),
    ]


def test_what_waits_is_counted() -> None:
    def waits(function: Callable[[torch.Tensor], object]) -> bool:
        values, copies = torch.ones(3, device="meta"), Copies()
        try:
            with copies, copies.operators:
                function(values)
        except (RuntimeError, NotImplementedError):
            return True
        return copies.counted != {}

    waiting = [
        *(lambda values: values[0].item(), lambda values: bool(values[0] > 1), lambda values: values[values > 1]),
        *(lambda values: torch.tensor(1.0, device="meta"), lambda values: values.copy_(torch.ones(3)), torch.nonzero),
        *(lambda values: torch.ones(3).to("meta"), lambda values: values.index_put_((values > 1,), values[0])),
    ]
    assert [waits(function) for function in waiting] == [True] * len(waiting)
    asynchronous = [lambda values: torch.ones(3).to("meta", non_blocking=True), lambda values: values * torch.tensor(2)]
    assert [waits(function) for function in asynchronous] == [False] * 2
