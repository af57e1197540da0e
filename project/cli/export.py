"""Export a trained network: ONNX, torch.export (pt2), or a directory for the Hugging Face Hub (safetensors).

An onnx or pt2 file takes images and gives probabilities: normalisation and softmax are inside, and the metadata says
how to prepare an image. What was exported is compared with the network on at most 1,000 validation images.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.commands import ALLOW, CKPT_PATH
from project.cli.output import add_output_options, check_output
from project.runs.checkpoint_path import find_path
from project.runs.directories import EXPERIMENT_NAME
from project.runs.results import Result
from project.system.errors import UserError

# The packages that each form needs besides torch.
PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "pt2": (), "safetensors": ("safetensors",)}
ENDINGS = {"onnx": ".onnx", "pt2": ".pt2"}  # torch.export.load knows its files by the ending
DIRECTORY = "_safetensors"  # the experiment's name alone would hide the experiment from --ckpt_path


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    add("--ckpt_path", CKPT_PATH, type=str, required=True)
    add("--to", "onnx and pt2 write a file, safetensors writes a directory.", choices=list(PACKAGES), required=True)
    add_output_options(parser, "The file or directory to write; by default the experiment's name, here.")
    add(
        "--input",
        "Numbers that a file takes: uint8, or float from 0 to 1.",
        choices=["uint8", "float"],
        default="uint8",
    )
    add("--data_dir", "Where the data is now, for the comparison; by default where it was in the training.", type=str)
    add("--allow", "Modules of your own that the checkpoint may import.", **ALLOW)


def run(options: Namespace) -> Result:
    """Export, and return how the exported network compares.

    Raises:
        UserError: a package is missing, the output cannot be written, or the network cannot be exported.
    """
    missing = [name for name in PACKAGES[options.to] if find_spec(name) is None]
    if missing:
        raise UserError(f"--to {options.to}: {missing[0]} is not installed: pip install -e '.[export]'")
    from project.use.export import Export  # imports torch, which takes a second
    from project.use.predictor import read_trained

    path = find_path(options.ckpt_path)
    checkpoint = read_trained(path)
    export = Export(
        path=path,
        checkpoint=checkpoint,
        to=options.to,
        output=_output(options, checkpoint),
        floats=options.input == "float",
        data_dir=Path(options.data_dir) if options.data_dir is not None else None,
        allow=tuple(options.allow),
    )
    comparison = export.write()
    return Result(figures=asdict(comparison) if comparison else {})


def _output(options: Namespace, checkpoint: Mapping[str, Any]) -> Path:
    """The file or directory to write, which is checked."""
    ending = ENDINGS.get(options.to, "")
    experiment = str(checkpoint.get("experiment", ""))
    name = experiment if re.fullmatch(EXPERIMENT_NAME, experiment) else "network"
    path = Path(options.output if options.output is not None else name + (ending or DIRECTORY))
    if os.path.exists(path) and path.is_dir() == bool(ending):  # unlike Path.exists, it takes a name that is too long
        kind, needed = ("directory", "file") if ending else ("file", "directory")
        raise UserError(f"--output {path}: it is a {kind}; name a {needed}")
    if ending and path.suffix != ending:
        raise UserError(f"--output {path}: give a name that ends in {ending}")
    check_output(path, options.force)
    return path
