"""The model card of a trained network: a Markdown file that is filled from the checkpoint and its run."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from project.checkpoints.classes import TRUSTED
from project.checkpoints.weights_directory import TRAINING
from project.data.decoding import Preparation
from project.runs.results import format_figures, read_results
from project.runs.seeds import runs_of_other_seeds

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!&~$])")
LISTED_CLASSES = 100  # more would hide the rest of the card
VIEWS = {
    "plain": "the image itself",
    "mirror": "the image and its mirror image, on average",
    "mirror_shift": "the image, moved images and their mirror images, on average",
}

FITS = {
    "cut": "resized to that and cropped at the center",
    "pad": "resized into that, with a grey border",
    "squash": "resized to that without their proportions",
}
SCORES = """`loss` is the loss of the training. Three scores measure the probabilities; smaller is better.
`nll`: the mean negative log-likelihood of the right class. `brier`: the mean squared error of the probabilities, summed
over the classes. `ece`: the mean distance between probability and accuracy. `_calibrated`: the same of calibrated
probabilities."""
GET = """`project` is the package that trained this network. `ADDRESS` is the address of its repository:

```
git clone ADDRESS experiments && pip install -e './experiments[export]'
```
"""


def model_card(checkpoint: Mapping[str, Any], run: Path | None, name: str, parameters: int | None) -> str:
    """The text of the model card.

    Args:
        checkpoint: Of this project.
        run: Its run directory, beside which runs of other seeds are looked for; None if it is not known.
        name: Of the directory that the card is in.
        parameters: Number of the network's parameters; None if it is not known.
    """
    title = escaped(checkpoint.get("experiment", name))
    sections = (
        _front_matter(),
        f"# {title}",
        _summary(checkpoint),
        _table("What it is", _contents(checkpoint, parameters)),
        _table("How it was trained", {**_numbers(checkpoint), **_environment(checkpoint.get("environment", {}))}),
        _table("Results", _results(checkpoint, run)),
        SCORES if "test/nll" in checkpoint.get("figures", {}) else "",
        _classes(checkpoint.get("figures", {}).get("per_class", {})),
        _probabilities(checkpoint.get("calibration")),
        _usage(checkpoint, name),
        _training(checkpoint),
        _licence(),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def escaped(text: Any) -> str:
    """Text of any kind as Markdown shows it literally, on one line."""
    line = str(text).encode(errors="backslashreplace").decode()
    line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    return MARKUP.sub(r"\\\1", line)


def project_version() -> str:
    """The version of this project; unknown if it is not installed."""
    return _project_metadata("Version") or "unknown"


def _project_metadata(field: str) -> str:
    try:
        return metadata("project")[field] or ""
    except (PackageNotFoundError, KeyError):
        return ""


def _front_matter() -> str:
    """What the Hugging Face Hub reads."""
    fields = {"pipeline_tag": "image-classification", "tags": ["pytorch", "safetensors"]}
    return "---\n" + yaml.safe_dump(fields) + "---"


def _table(title: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join((f"## {title}\n", "| | |", "|---|---|", *lines)) if lines else ""


def _summary(checkpoint: Mapping[str, Any]) -> str:
    network = escaped(_class_name(checkpoint["network"]))
    return f"Image classification: {network} gives an image one of {len(checkpoint['data']['class_names'])} classes."


def _contents(checkpoint: Mapping[str, Any], parameters: int | None) -> dict[str, str]:
    names = [escaped(_quoted(name)) for name in checkpoint["data"]["class_names"]]
    more = [f"and {len(names) - LISTED_CLASSES:,} more"] * (len(names) > LISTED_CLASSES)
    channels, height, width = checkpoint["data"]["image_shape"]
    preparation = Preparation.of(checkpoint["data"])
    fit = FITS[preparation.fit]
    if preparation.crop_pct < 1:
        fit += f", where {100 * preparation.crop_pct:g} % of the shorter side stay"
    network = escaped(_class_name(checkpoint["network"]))
    return {
        "classes": ", ".join([*names[:LISTED_CLASSES], *more]),
        "images": f"{height}x{width} pixels, {channels} channels; others are {fit}",
        "network": network if parameters is None else f"{network}, {parameters:,} parameters",
    }


def _numbers(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """Number of images and epochs, and the seed, as far as they are known."""
    counts = checkpoint.get("environment", {}).get("data", {}).get("images", {})
    rows = {f"{part} images": f"{sum(counts[part]):,}" for part in ("training", "validation") if part in counts}
    rows["epochs"] = checkpoint.get("figures", {}).get("epochs", checkpoint.get("epoch"))
    rows["seed"] = checkpoint.get("settings", {}).get("seed_everything")
    return {name: str(value) for name, value in rows.items() if value is not None}


def _environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """Data, hardware and versions of the training."""
    if not environment:
        return {}
    data, git, device = environment["data"], environment["git"], environment["device"]
    packages = {"Python": environment["python"], "project": project_version(), **environment["packages"]}
    threads = environment["threads"]
    processor = f"{environment['cpu']}, {threads} thread{'s' * (threads > 1)}"
    commit = git["commit"] and git["commit"] + (", with changes" if git["dirty"] else "")
    rows = {
        "data": data["class"],
        "SHA-256 of the data": data["sha256"],
        "hardware": processor if device == "cpu" else f"{environment['processes']} x {device}",
        "precision": environment["precision"],
        "versions": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "commit of the project": commit or "",
    }
    return {name: escaped(value) for name, value in rows.items()}


def _results(checkpoint: Mapping[str, Any], run: Path | None) -> dict[str, str]:
    figures = checkpoint.get("figures", {})
    measured = {name: value for name, value in figures.items() if name.startswith(("test/", "val/"))}
    rows = dict(line.split(" ", 1) for line in format_figures(measured))
    results = [read_results(other) or {} for other in (runs_of_other_seeds(run) if run else ())]
    accuracies = [result["test/accuracy"] for result in results if "test/accuracy" in result]
    if len(accuracies) > 1:
        row = f"test/accuracy of {len(accuracies)} seeds, mean ± standard deviation"
        rows[row] = f"{100 * mean(accuracies):.2f} ± {100 * stdev(accuracies):.2f} %"
    return rows


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each class of the test images. Its accuracy, the share of its images that are right, is its recall."""
    if not per_class:
        return ""
    columns = ("images", "accuracy", "precision", "f1")
    rows = [
        [escaped(_quoted(name)), *(_cell(column, figures.get(column)) for column in columns)]
        for name, figures in list(per_class.items())[:LISTED_CLASSES]
    ]
    table = [["class", "images", "accuracy (recall)", *columns[2:]], ["---", *["---:"] * len(columns)], *rows]
    more = f"\n\nand {len(per_class) - LISTED_CLASSES:,} more classes" * (len(per_class) > LISTED_CLASSES)
    return "## Each class\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + more


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if column == "images" else f"{100 * value:.2f} %"


def _probabilities(calibration: Mapping[str, Any] | None) -> str:
    if not calibration:
        return ""
    views = f"The logits are those of {VIEWS[calibration['views']]}."
    if "temperature" not in calibration:
        return f"## Probabilities\n\nThe probabilities are not calibrated. {views}"
    return (
        f"## Probabilities\n\nThe probabilities are calibrated: the logits are divided by the temperature "
        f"{calibration['temperature']:.4f}, which was fitted on {calibration['images']:,} validation images. {views}"
    )


def _usage(checkpoint: Mapping[str, Any], name: str) -> str:
    root = checkpoint["network"]["class_path"].partition(".")[0]
    allow = "" if root in TRUSTED else f", allow=[{root!r}]"
    code = (
        "import project",
        f"network = project.load({name!r}{allow})  # this directory",
        "print(network.predict('photo.jpg', top=3))",
    )
    return "\n".join(("## How to use it\n", GET, "```python", *code, "```"))


def _training(checkpoint: Mapping[str, Any]) -> str:
    if "settings" not in checkpoint:
        return ""
    command = f"python scripts/main.py fit --config {TRAINING}"
    paths = "It has only the last part of paths elsewhere on a disk: give your own, as in `--data.data_dir`."
    text = f"`{TRAINING}` has all options. {paths}"
    return "\n".join((f"## How to train it\n\n{text}\n", "```", command, "```"))


def _licence() -> str:
    name = _project_metadata("License-Expression")
    code = f" The code of the project has the licence {name}." if name else ""
    weights = "The licence of these weights is not chosen yet: write it here, and as `license` at the top of this file."
    return f"## Licence\n\n{weights} The data has a licence of its own, which may limit their use.{code}"


def _quoted(name: str) -> str:
    """A name as it can stand in a list: one with a comma or without letters needs quotation marks."""
    return json.dumps(name, ensure_ascii=False) if "," in name or not name.strip() else name


def _class_name(settings: Mapping[str, Any]) -> str:
    return str(settings["class_path"]).rpartition(".")[2]
