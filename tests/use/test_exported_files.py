"""Exported files are used without their checkpoint: a safetensors directory, and ONNX by the program of docs/use.md."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import project
from project.checkpoints.files import write
from project.checkpoints.weights_directory import files_of
from project.cli.main import main
from project.system.errors import UserError
from tests.conftest import CONFIGS, REPOSITORY
from tests.use.checkpoints import STRANGE_NAMES


def test_an_exported_directory_is_loaded_and_exported_again(small: dict[str, Any], error: Callable[..., str]) -> None:
    main(["export", "--ckpt_path", "small.ckpt", "--to", "safetensors"])
    Path("small.ckpt").unlink()
    Path("small_safetensors").rename("moved")
    assert project.load("moved").class_names == tuple(STRANGE_NAMES)
    assert main(["export", "--ckpt_path", "moved", "--to", "onnx"]).figures["source"] == "validation images"
    line = error("validate", "--config", str(CONFIGS / "mlp.yaml"), "--ckpt_path", "moved")
    assert line.startswith("--ckpt_path moved/model.safetensors: it is an exported network; give the checkpoint")


@pytest.mark.parametrize(("name", "opened"), [("a.onnx", "onnxruntime"), ("a.pt2", "torch.export.load")])
def test_an_exported_file_says_how_it_is_opened(name: str, opened: str, error: Callable[..., str]) -> None:
    Path(name).write_bytes(b"exported")
    line = f"{name}: it is an exported network; open it with {opened}"
    assert error("test", "--ckpt_path", name).startswith(f"--ckpt_path {line}")
    with pytest.raises(UserError, match=f"^{line}"):
        project.load(name)


def test_paths_of_this_machine_stay_here(small: dict[str, Any]) -> None:
    options = {"data_dir": "/home/me/photos", "labels": "../a.csv", "file": "data/a.npz", "classes": ["/m/01", "b"]}
    small["settings"] = {"data": {"class_path": "project.data.ImageFolder", "init_args": options}}
    description = {"class_path": "project.networks.MLP", "init_args": {"weights": "/home/me/a.pth"}}
    files = files_of({**small, "network": description}, {})
    assert yaml.safe_load(files["training.yaml"])["data"]["init_args"] == {
        "data_dir": "photos",
        "labels": "a.csv",
        "file": "data/a.npz",
        "classes": ["/m/01", "b"],
    }
    assert json.loads(files["config.json"])["network"]["init_args"] == {"weights": "a.pth"}


def test_reading_a_directory_needs_safetensors(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["export", "--ckpt_path", "small.ckpt", "--to", "safetensors", "--output", "moved"])
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match=r"^moved: to read it, install safetensors: pip install -e '.\[export\]'$"):
        project.load("moved")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.safetensors", b"half", "moved: not a directory that export has written, or damaged ("),
        ("config.json", b"{", "moved: not a directory that export has written, or damaged ("),
        ("config.json", b"[]", "moved: its config.json is not one that export has written; export"),
        (
            "config.json",
            b'{"format": 99, "network": {}, "data": {}}',
            "moved: a newer version of this project wrote it",
        ),
    ],
)
def test_a_damaged_directory_ends_in_a_line(small: dict[str, Any], name: str, content: bytes, problem: str) -> None:
    main(["export", "--ckpt_path", "small.ckpt", "--to", "safetensors", "--output", "moved"])
    Path("moved", name).write_bytes(content)
    with pytest.raises(UserError, match=f"^{re.escape(problem)}"):
        project.load("moved")


PAGE = (REPOSITORY / "docs/use.md").read_text()


def photographs() -> dict[str, dict[str, Any]]:
    """What Pillow's save takes, for images of many modes, sizes and formats."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8)
    color = Image.fromarray(noise).resize((480, 360), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    rgb = color.convert("RGB")
    return {
        "large and turned": {"image": rgb, "format": "JPEG", "exif": exif},
        "of four inks": {"image": rgb.convert("CMYK"), "format": "JPEG"},
        "grey": {"image": rgb.convert("L"), "format": "PNG"},
        "small": {"image": rgb.resize((20, 9)), "format": "PNG"},
        "transparent": {"image": color, "format": "PNG"},
        "with a palette": {"image": rgb.quantize(16), "format": "PNG", "transparency": 3},
    }


PREPARATIONS = {
    "cut": ("of four inks", "small", "with a palette"),
    "pad": ("grey",),
    "squash": ("transparent",),
    "part": ("large and turned",),
}


@pytest.mark.parametrize("fit", PREPARATIONS)
def test_the_program_of_the_page_answers_as_project_load(
    fit: str, small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(photographs()) == sorted(kind for kinds in PREPARATIONS.values() for kind in kinds)
    small["data"]["preparation"] |= {"fit": "cut", "crop_pct": 0.8} if fit == "part" else {"fit": fit}
    write(small, Path("small.ckpt"))
    main(["export", "--ckpt_path", "small.ckpt", "--to", "onnx", "--output", "convnet.onnx"])
    (program,) = re.findall(r"```python\n(import json.*?)```", PAGE, re.DOTALL)
    for kind in PREPARATIONS[fit]:
        options = photographs()[kind]
        options.pop("image").save("photo.jpg", **options)
        answers: dict[str, Any] = {}
        exec(program, answers)
        expected = project.load("small.ckpt").logits("photo.jpg").softmax(1)[0].numpy()
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6, err_msg=kind)
        assert capsys.readouterr().out.splitlines()[-1].endswith(str(answers["probabilities"].max()))
