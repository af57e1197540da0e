"""The commands of main.py, its --help, and the words of the command line. Nothing here is slow to import."""

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

TRAINER_COMMANDS = {
    "fit": "Train a network, keep the checkpoint with the best validation accuracy, and test it once.",
    "validate": "Measure the loss and the accuracy of a checkpoint on the validation images.",
    "test": "Measure the loss and the accuracy of a checkpoint on the test images.",
    "predict": "Write the class that a checkpoint predicts for each test image to a CSV file.",
}
TOOL_COMMANDS = {
    "predict --images": "Print the classes of image files and folders of your own; --output writes them, too.",
    "export": "Write a trained network as ONNX, torch.export or safetensors, and prove that it answers the same.",
    "inspect": "Show a data set before the training: classes, duplicates, and labels that a checkpoint contradicts.",
    "lr_find": "Find a learning rate before a run, from a short training in which the rates rise.",
    "search": "Train one experiment many times, to find good values of its options; Optuna chooses them.",
    "compare": "Show how runs differ and what they reached, on the terminal, as a page or as CSV.",
}
CKPT_PATH = "A checkpoint file, a run directory, an experiment, or best or last: those of the newest run."
MOST_THREADS = 1024  # if the system cannot start them, torch ends the process
THREADS = "Number of threads of each process; by default one for each core that it may use, and OMP_NUM_THREADS."
ALLOW: dict[str, Any] = {"nargs": "*", "action": "extend", "type": str, "default": []}  # how --allow is given
# The module of each tool. It has add_options(parser) and run(options), which returns the Result.
MODULES = {name: f"project.cli.{name}" for name in ("export", "inspect", "lr_find", "search", "compare")}
PREDICT_IMAGES = "project.cli.predict_images"
PROGRAM = """usage: main.py COMMAND [--config FILE ...] [--OPTION VALUE ...]

Train and test image classifiers with PyTorch Lightning; a stopped run resumes exactly where it was.

commands:
{commands}

examples:
  python scripts/main.py fit --config configs/convnet.yaml
  python scripts/main.py test --ckpt_path best
  python scripts/main.py predict --ckpt_path best --images photo.jpg

where to read on:
  main.py fit --help                        the options of fit; each command has its own
  main.py fit --model.network.help          the networks, one line each
  main.py fit --model.network.help ConvNet  the options of one class
  README.md                                 how to train, watch, resume, and use parts of your own
  configs/README.md                         the experiments that are ready to run"""


def program_help() -> str:
    """The text of main.py --help."""
    commands = {**TRAINER_COMMANDS, **TOOL_COMMANDS}
    text = PROGRAM.format(commands="\n".join(f"  {name:<18}{text}" for name, text in commands.items()))
    width = min(shutil.get_terminal_size().columns, 120)
    return "\n".join(_wrapped(line, width) for line in text.splitlines())


def _wrapped(line: str, width: int) -> str:
    """A line as several of this width, but for an example. The second of two columns goes on below itself."""
    columns = re.match("  .+?  +", line)
    indent = " " * len(columns[0] if columns else "")
    return line if line.startswith("  python") else textwrap.fill(line, width, subsequent_indent=indent)


def tool_module(words: Sequence[str]) -> str | None:
    """The module of the command; None if it is one of LightningCLI's. predict is a tool if --images is given."""
    if not words:
        return None
    is_images = words[0] == "predict" and any(word.partition("=")[0] == "--images" for word in words)
    return PREDICT_IMAGES if is_images else MODULES.get(words[0])


def given_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option of the command line, without dashes and init_args, and its value."""
    split = [part for word in words for part in (word.split("=", 1) if word.startswith("-") else [word])]
    for option, value in pairwise(split):
        if option.startswith("-"):
            name = option.lstrip("-").replace(".init_args", "")
            yield "config" if name == "c" else name, value
