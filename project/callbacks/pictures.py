"""Pictures of a fit, as PNG files and in TensorBoard."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from project.callbacks.epoch_numbers import epoch_number
from project.callbacks.evaluation_logits import EvaluationLogits, Logits
from project.callbacks.run_directory import RunDirectory
from project.callbacks.stopwatch import Stopwatch
from project.runs.results import Result
from project.system.files import atomic_write
from project.training.per_class import per_class

if TYPE_CHECKING:  # matplotlib takes time to import, and is needed only when something is drawn
    from matplotlib.figure import Figure

DIRECTORY = "pictures"
SECONDS = 120.0  # between two pictures of validations


class Pictures(Callback):
    """Draws what the network was shown and where it is wrong: PNG files in the run's `pictures`, and in TensorBoard.

    At the start the first training batch; of a validation, at most every two minutes, and of the last one the confusion
    matrix; at the end of the training the curves; of the test all others. Only the first process draws. It draws no
    random numbers, and the stopwatch of training does not run meanwhile. If a picture cannot be drawn or written, a
    line says so.
    """

    def __init__(self, run: RunDirectory, stopwatch: Stopwatch, logits: EvaluationLogits) -> None:
        """Take the parts of the run that the pictures need.

        Args:
            run: Where the files belong.
            stopwatch: Pauses while something is drawn.
            logits: Of the last validation and of the test.
        """
        self.run, self.stopwatch, self.logits = run, stopwatch, logits
        self._temperature: float | None = None  # of the checkpoint that is tested
        self._before_first_batch = False
        self._title_of_validation = ""  # of one that is not drawn yet
        self._drawn_at = 0.0
        self._problems: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._before_first_batch = trainer.global_step == 0
        self._drawn_at = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._before_first_batch and trainer.is_global_zero:
            with self.stopwatch.paused(trainer):
                self._draw(trainer, "training_batch", "train/batch", partial(_training_batch, trainer, batch))
        self._before_first_batch = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._title_of_validation = f"Validation in epoch {epoch_number(trainer).strip()}"
        if time.monotonic() - self._drawn_at >= SECONDS:
            with self.stopwatch.paused(trainer):
                self._draw_validation(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._title_of_validation:
            self._draw_validation(trainer)
        if trainer.is_global_zero:
            self._draw(trainer, "curves", "", partial(_curves, self.run.opened))  # TensorBoard has curves of its own

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._temperature = checkpoint.get("calibration", {}).get("temperature")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and self.logits.test is not None:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            drawings = {
                "confusion": partial(_confusion, self.logits.test, data.class_names, "Test"),
                "classes": partial(_classes, self.logits.test, data.class_names),
                "reliability": partial(_reliability, self.logits.test, self._temperature),
                "mistakes": partial(_mistakes, self.logits.test, self._temperature, data),
            }
            for name, draw in drawings.items():
                self._draw(trainer, name, f"test/{name}", draw)

    def _draw_validation(self, trainer: Trainer) -> None:
        assert self.logits.validation is not None
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        draw = partial(_confusion, self.logits.validation, data.class_names, self._title_of_validation)
        self._draw(trainer, "confusion", "val/confusion", draw)
        self._title_of_validation, self._drawn_at = "", time.monotonic()

    def _draw(self, trainer: Trainer, name: str, tag: str, draw: "Callable[[], Figure | None]") -> None:
        """Write a picture to its file, and under its tag to TensorBoard; print a line if that is not possible."""
        try:
            if (figure := draw()) is None:
                return
            from project.pictures.canvas import pixels

            image = pixels(figure)
            directory = self.run.opened / DIRECTORY
            directory.mkdir(exist_ok=True)
            with atomic_write(directory / f"{name}.png") as unfinished:
                Image.fromarray(image).save(unfinished, "PNG")
            for logger in trainer.loggers if tag else ():
                if isinstance(logger, TensorBoardLogger):
                    step = max(0, trainer.global_step - 1)  # as Lightning counts in the curves
                    # TIME SERIES sorts its sections by name; the curves, of train and val, come before this one.
                    logger.experiment.add_image(f"visual/{tag}", image, step, dataformats="HWC")
        except Exception as error:  # of whatever kind: no picture is worth a run
            self._report(f"{name}.png", error)

    def _report(self, file: str, error: Exception) -> None:
        """Print the problem, unless another picture had the same."""
        problem = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        if problem not in self._problems:
            print(f"pictures: {file} is not drawn: {' '.join(problem.split())}", flush=True)
        self._problems.add(problem)


def _training_batch(trainer: Trainer, batch: Sequence[Tensor]) -> "Figure":
    from project.pictures.training_batch import NUM_IMAGES, draw_training_batch

    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    images, labels = (part[:NUM_IMAGES].detach().cpu() for part in batch)
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    levels = (255 * (images.float() * std + mean)).nan_to_num().round().clamp(0, 255)
    pixels = levels.byte().permute(0, 2, 3, 1).numpy()
    return draw_training_batch(pixels, [_label_lines(label, data.class_names) for label in labels], len(batch[0]))


def _label_lines(label: Tensor, names: Sequence[str]) -> list[str]:
    """The name of a label's class; of a mixed label [num_classes] those of its two largest classes, with shares."""
    if not label.ndim:
        return [names[int(label)]]
    shares, classes = label.topk(min(2, len(names)))
    return [f"{share:.0%} {names[index]}" for share, index in zip(shares, classes, strict=True) if share > 0]


def _confusion(logits: Logits, class_names: Sequence[str], title: str) -> "Figure":
    from project.pictures.confusion import draw_confusion

    return draw_confusion(logits.labels.numpy(), logits.logits.argmax(1).numpy(), class_names, title)


def _classes(test: Logits, class_names: Sequence[str]) -> "Figure":
    from project.pictures.classes import draw_classes

    return draw_classes(per_class(test.labels, test.logits, class_names), "Test")


def _reliability(test: Logits, temperature: float | None) -> "Figure":
    from project.pictures.reliability import draw_reliability

    curves = {"not calibrated": _confidence(test.logits)}
    if temperature is not None:
        curves[f"calibrated (temperature {temperature:.3f})"] = _confidence(test.logits, temperature)
    correct = test.logits.argmax(1) == test.labels
    return draw_reliability(correct.numpy(), curves, "Test: how sure, and how often correct")


def _mistakes(test: Logits, temperature: float | None, data: Any) -> "Figure":
    from project.pictures.mistakes import draw_mistakes, most_confident_mistakes

    labels, predicted = test.labels.numpy(), test.logits.argmax(1).numpy()
    confidence = _confidence(test.logits, temperature or 1.0)
    shown = most_confident_mistakes(labels, predicted, confidence)
    places = test.indices[shown]
    images = next(data.test.read_batches(places, len(places))) if len(places) else torch.zeros(0, 1, 1, 3)
    files = getattr(data.test, "names", None)
    captions = [f"image {place}" if files is None else str(files[place]) for place in places.tolist()]
    classes, others = ([data.class_names[index] for index in indices[shown]] for indices in (labels, predicted))
    num_mistakes = int((labels != predicted).sum())
    number = f"{len(shown)} of {num_mistakes:,}" if len(shown) < num_mistakes else str(num_mistakes)
    calibrated = "not calibrated" if temperature is None else "calibrated"
    title = (
        f"Test: {number} mistakes among {len(labels):,} images, the most confident first ({calibrated} probabilities)"
    )
    return draw_mistakes(images.numpy(), classes, others, confidence[shown], captions, title)


def _confidence(logits: Tensor, temperature: float = 1.0) -> Any:
    """The probability [N] of each predicted class in float64, by parts since all of them may be large."""
    parts = [(part.double() / temperature).softmax(1).amax(1) for part in torch.split(logits, 1000)]
    return torch.cat(parts).numpy()


def _curves(run: Path) -> "Figure | None":
    from project.pictures.curves import draw_curves

    rows = Result(run).metrics()
    return draw_curves(rows, f"{run.parent.name}/{run.name}") if rows else None
