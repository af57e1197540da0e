"""What precision `auto` becomes, and options that are a number of batches or a fraction."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Union

import pytest
import torch
from lightning.pytorch import Trainer

from project.cli.main import main
from project.system.errors import UserError
from project.system.hardware import computes_bfloat16
from project.training.trainer import ExperimentTrainer, Precision, device_type
from tests.conftest import CONFIGS


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """What the processor and the devices have; oneDNN may use all of it, unless it is forbidden."""
    has = {"cuda": False, "mps": False, "cuda_bfloat16": False, "avx512_bf16": False, "amx": False, "forbidden": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has["cuda"])
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has["cuda_bfloat16"]
    )
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has["mps"])
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has["avx512_bf16"])
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has["amx"])
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: not has["forbidden"], raising=False)
    return has


@pytest.mark.parametrize(
    ("accelerator", "parts", "expected"),
    [
        ("auto", [], False),
        ("auto", ["avx512_bf16"], True),
        ("cpu", ["amx"], True),
        ("cpu", ["cuda", "cuda_bfloat16"], False),
        ("auto", ["cuda", "cuda_bfloat16"], True),
        ("gpu", ["cuda", "avx512_bf16"], False),
        ("cuda", ["cuda", "cuda_bfloat16"], True),
        ("gpu", ["cuda_bfloat16", "avx512_bf16"], False),
        ("auto", ["mps", "avx512_bf16"], False),
        ("mps", ["mps", "avx512_bf16"], False),
        ("cpu", ["mps", "avx512_bf16"], True),
        ("cpu", [], False),
        ("cpu", ["avx512_bf16", "amx", "forbidden"], False),
        ("cuda", ["cuda", "cuda_bfloat16", "forbidden"], True),
    ],
)
def test_bfloat16(hardware: dict[str, bool], accelerator: str, parts: list[str], expected: bool) -> None:
    hardware.update(dict.fromkeys(parts, True))
    assert computes_bfloat16(device_type(accelerator)) is expected


def test_precision_of_a_trainer(hardware: dict[str, bool]) -> None:
    def chosen(precision: Precision = "auto") -> tuple[str, str]:
        trainer = ExperimentTrainer(accelerator="cpu", logger=False, precision=precision)
        return str(trainer.precision), trainer.precision_reason

    assert chosen() == ("32-true", "the CPU has no bfloat16 units")
    hardware["avx512_bf16"] = True
    assert chosen() == ("bf16-mixed", "the CPU has bfloat16 units")
    assert chosen("32-true") == ("32-true", "")
    hardware["forbidden"] = True
    assert chosen() == ("32-true", "oneDNN does not use the CPU's bfloat16 units")


def test_apple_has_no_float64(hardware: dict[str, bool]) -> None:
    hardware["mps"] = True
    with pytest.raises(UserError, match="Apple's GPUs have no float64"):
        ExperimentTrainer(precision="64")


@pytest.mark.parametrize(
    ("short", "full"), [("32", "32-true"), (32, "32-true"), ("bf16", "bf16-mixed"), (64, "64-true")]
)
def test_short_names_of_precisions(short: Precision, full: str) -> None:
    assert ExperimentTrainer(accelerator="cpu", logger=False, precision=short).precision == full


@pytest.mark.parametrize("option", ["train", "val", "test", "predict"])
def test_one_batch_is_not_all_batches(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order Lightning's types have, since Python takes Union[int, float] from what it has made before."""
    name = f"limit_{option}_batches"
    monkeypatch.setitem(Trainer.__init__.__annotations__, name, Union[float, int, None])  # noqa: UP007
    configs = ["--config", str(CONFIGS / "mlp.yaml"), f"--trainer.{name}", "1", "--print_config"]
    with redirect_stdout(StringIO()) as printed, pytest.raises(SystemExit):
        main(["fit", *configs])
    assert f"  {name}: 1\n" in printed.getvalue()
