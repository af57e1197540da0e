"""The end of a fit: its checkpoint gets a temperature from the validation images and is tested."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger

from project.callbacks.checkpoints import Checkpoints
from project.callbacks.evaluation_logits import EvaluationLogits, Logits
from project.callbacks.lost_processes import LostProcesses
from project.callbacks.run_directory import RunDirectory
from project.data import ImageDataModule
from project.training.calibration import fit_temperature, scores
from project.training.checkpoint_io import hand_over
from project.training.classifier import Classifier
from project.training.per_class import per_class


class FinalEvaluation:
    """The calibration and the test of a checkpoint, by the trainer of its fit."""

    def __init__(self, trainer: Trainer, data: ImageDataModule, logits: EvaluationLogits, path: Path) -> None:
        """Take the callbacks that average weights out of the trainer.

        They would put the weights of the last step in place of the averaged ones that the checkpoint brings.

        Args:
            trainer: Its fit has ended.
            data: Of the fit.
            logits: One of the trainer's callbacks.
            path: Of the checkpoint.
        """
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        self.trainer, self.data, self.logits, self.path = trainer, data, logits, path
        self._set_callbacks([callback for callback in callbacks if not isinstance(callback, WeightAveraging)])

    def calibrate(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """The temperature of the validation images, with their number and views, as a checkpoint has it.

        Without validation images there is no temperature, and a line says why; the views stay.
        """
        problem, validation = "there are no validation images", None
        views: dict[str, Any] = {} if self._model.test_views == "plain" else {"views": self._model.test_views}
        if len(self.data.val) and self.trainer.limit_val_batches:
            problem, validation = "a logit of a validation image is not finite", self._validate(checkpoint)
        if validation is None or not validation.logits.isfinite().all():
            rank_zero_only(print)(f"the probabilities are not calibrated: {problem}", flush=True)
            return views
        temperature = fit_temperature(validation.logits, validation.labels)
        return {"temperature": temperature, "images": len(validation.labels), "views": self._model.test_views}

    def test(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """What the test measures; nothing with --trainer.limit_test_batches 0."""
        hand_over(self.trainer, self.path, dict(checkpoint))
        (measured,) = self.trainer.test(self._model, **self._options) or [{}]
        test, temperature = self.logits.test, checkpoint.get("calibration", {}).get("temperature")
        figures = dict(measured)
        for ending, divisor in (("", 1.0), ("_calibrated", temperature)):
            if test is not None and divisor is not None:
                values = scores(test.logits, test.labels, divisor)
                figures |= {f"test/{name}{ending}": value for name, value in values.items()}
        return figures if temperature is None else {**figures, "temperature": temperature}

    def per_class(self) -> dict[str, Any]:
        """The figures of each class in the test; nothing if there was none."""
        test = self.logits.test
        return {"per_class": per_class(test.labels, test.logits, self.data.class_names)} if test else {}

    def _validate(self, checkpoint: Mapping[str, Any]) -> Logits | None:
        """The logits of the validation images, by the views of the test."""
        hand_over(self.trainer, self.path, {**checkpoint, "callbacks": {}})
        with self._without_users_parts():
            self.trainer.validate(self._model, **self._options)
        return self.logits.validation

    @contextmanager
    def _without_users_parts(self) -> Iterator[None]:
        """A validation that is none of the training: no logger and no callback of the user's notices it."""
        callbacks, loggers = self.trainer.callbacks, self.trainer.loggers  # type: ignore[attr-defined]
        needed = EvaluationLogits | Checkpoints | LostProcesses | RunDirectory  # all but the first are for signals
        self._set_callbacks([callback for callback in callbacks if isinstance(callback, needed)])
        self.trainer.loggers = [DummyLogger()]
        self._model.val_views = self._model.test_views
        try:
            yield
        finally:
            self._model.val_views = "plain"
            self._set_callbacks(callbacks)
            self.trainer.loggers = loggers

    @property
    def _model(self) -> Classifier:
        model = self.trainer.lightning_module
        assert isinstance(model, Classifier)
        return model

    @property
    def _options(self) -> dict[str, Any]:
        return {"datamodule": self.data, "ckpt_path": self.path, "weights_only": True, "verbose": False}

    def _set_callbacks(self, callbacks: list[Any]) -> None:
        self.trainer.callbacks = callbacks  # type: ignore[attr-defined]
