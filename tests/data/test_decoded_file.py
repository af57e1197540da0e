"""Decoded images in one mapped file: the same batches as from the files, and another file is never taken for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torchvision.transforms import v2

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.data import ImageFolder
from project.data.decoded_file import decoded_file, map_decoded, write_decoded
from project.data.decoding import Preparation
from project.data.image_files import ImageFiles
from project.system.errors import UserError
from tests.data.test_image_folder import COMMAND, QUICK, data, in_memory, ready, same, training
from tests.data_sets import write_image_folder

PATH = Path("images/.decoded-16.bin")


@pytest.fixture(autouse=True)
def folder() -> None:
    write_image_folder(Path("images"), count=20)


def files_of(module: ImageFolder) -> ImageFiles:
    assert isinstance(module.train, ImageFiles)
    return module.train


def prepared(**options: Any) -> ImageFolder:
    """As a fit prepares it."""
    module = data(**options)
    module.trainer = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING))  # type: ignore[assignment]
    module.prepare_data()
    module.trainer = None
    module.setup("fit")
    return module


def test_batches_and_fingerprint_are_those_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    decoded, mapped = ready(in_memory=False), prepared(in_memory=True)
    assert "decoding 40 images once, into images/.decoded-16.bin (1 MB)" in capsys.readouterr().out
    assert files_of(decoded).pixels is None
    assert mapped.fingerprint() == decoded.fingerprint()
    expected = training(in_memory(files_of(decoded)))
    for workers in (0, 2):
        files = files_of(prepared(in_memory=True, workers=workers))
        assert files.pixels is not None
        assert same(training(files), expected)
        assert same(training(files, first=5), expected[5:])
    assert torch.equal(next(mapped.test.read_batches(torch.tensor([2]), 1)), in_memory(mapped.test).pixels[2:3])  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


def test_a_file_that_is_damaged_or_of_other_images_is_written_anew() -> None:
    files = files_of(ready())
    write_decoded(files)
    whole, path = PATH.read_bytes(), decoded_file(files)
    pixels = map_decoded(files)
    assert pixels is not None
    assert torch.equal(pixels, in_memory(files).pixels)
    pixels[0] = 0  # in memory alone
    assert PATH.read_bytes() == whole
    for place in (3, 40, len(whole) - 1):  # in each digest and in the pixels
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert map_decoded(files) is None
    for damaged in (whole[:-1], whole + b"x", b""):
        path.write_bytes(damaged)
        assert map_decoded(files) is None
    path.write_bytes(whole)
    padded = replace(files, preparation=Preparation((16, 16), "pad"))
    path.rename(decoded_file(padded))
    assert map_decoded(padded) is None
    assert map_decoded(files[torch.arange(len(files)).flip(0)]) is None
    assert prepared(in_memory=True).train.pixels is not None  # type: ignore[attr-defined]
    assert PATH.exists()


def test_auto_goes_by_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 40 * 16 * 16 * 3
    for memory, is_mapped in ((0, False), (4 * size - 1, False), (4 * size, True)):
        monkeypatch.setattr("project.data.sets.image_folder.total_bytes", lambda memory=memory: memory)
        assert (files_of(prepared()).pixels is not None) == is_mapped
    crop = [v2.RandomResizedCrop(16)]
    assert files_of(prepared(transforms=crop)).pixels is None
    with pytest.raises(
        UserError, match=r"--data\.in_memory true: RandomResizedCrop takes its parts from the files; lea"
    ):
        data(transforms=crop, in_memory=True)


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    (PATH / "in the way").mkdir(parents=True)
    assert files_of(prepared(in_memory=True)).pixels is None
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("--data.in_memory true: images/.decoded-16.bin cannot be written (")
    assert line.endswith("); each batch is decoded from the files")
    assert [path.name for path in PATH.parent.glob(".*unfinished")] == []


def test_a_run_is_resumed_with_the_other_bit_for_bit(stop_at: Callable[..., None]) -> None:
    words = [*COMMAND[1:], *QUICK, "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--data.transforms"]
    words += ["[RandomHorizontalFlip, TrivialAugmentWide]", "--trainer.log_every_n_steps", "1"]
    main(["fit", *words, "--data.in_memory", "false"])
    stop_at(12, [*words, "--data.in_memory", "true", "--data.workers", "0"])
    assert PATH.exists()
    main(["fit", *words, "--data.in_memory", "false", "--data.workers", "1", "--ckpt_path", "last"])
    whole, resumed = (Path(f"lightning_logs/mlp/version_{version}") for version in (0, 1))
    assert differences(whole, resumed) == []
