"""TensorBoard's pages HPARAMS and CUSTOM SCALARS, as TensorBoard's own plugins give them to the browser."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from project.cli.main import main
from tests.conftest import STEPS

REQUEST = context.RequestContext()


class Board:
    """What TensorBoard reads in a directory."""

    def __init__(self, directory: str) -> None:
        self.events = EventMultiplexer().AddRunsFromDirectory(directory).Reload()
        provider = MultiplexerDataProvider(self.events, directory)
        self.context: Any = SimpleNamespace(logdir=directory, data_provider=provider, plugin_name_to_instance={})

    def steps(self, run: str, tag: str) -> list[int]:
        """Of the points of a curve."""
        return [event.step for event in self.events.Tensors(run, tag)]

    def experiment(self) -> Any:
        """The columns of the page HPARAMS."""
        return get_experiment.Handler(REQUEST, Context(self.context), "", api_pb2.GetExperimentRequest()).run()

    def rows(self) -> dict[str, Any]:
        """The runs on the page HPARAMS by their names."""
        statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS]
        request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, slice_size=9)
        found = list_session_groups.Handler(REQUEST, Context(self.context), "", request).run()
        return {group.name: group for group in found.session_groups}

    def charts(self) -> list[str]:
        """The titles of the charts on the page CUSTOM SCALARS."""
        layout = json.loads(CustomScalarsPlugin(self.context).layout_impl(REQUEST, ""))
        return [chart["title"] for category in layout["category"] for chart in category["chart"]]


def test_a_resumed_run_is_one_run(digits: Callable[..., list[str]], stop_at: Callable[..., None]) -> None:
    """A run of one epoch that is made longer, and another that stops after its first epoch."""
    rate = "--model.optimizer.lr"
    main(["fit", *digits(), rate, "0.01"])
    main(["fit", *digits(epochs=2), rate, "0.02", "--ckpt_path", "last"])
    stop_at(STEPS + 6, [*digits(epochs=2), "--checkpoints.monitor", "val/loss", "--model.compile", "false"])
    board = Board("lightning_logs")
    assert set(board.events.Runs()) == {"mlp/version_0", "mlp/version_1"}
    for tag in ("train/loss", "train/lr", "val/accuracy", "test/loss"):
        steps = board.steps("mlp/version_0", tag)
        assert steps == sorted(set(steps)) != []
    assert board.charts() == ["accuracy", "loss", "loss of a batch", "learning rate", "images per second"]
    infos = board.experiment().hparam_infos
    first = ["data.batch_size", "model.network", "model.optimizer", "model.optimizer.lr", "trainer.max_epochs"]
    assert [info.name for info in infos[:5]] == first
    assert {info.name for info in infos} >= {*first, "model.compile", "data", "seed_everything"}
    rows = board.rows()
    assert rows.keys() == {"mlp 0", "mlp 1"}
    assert rows["mlp 0"].hparams["model.optimizer.lr"].number_value == 0.02
    assert rows["mlp 0"].hparams["trainer.max_epochs"].number_value == 2
    assert rows["mlp 0"].hparams["model.compile"].bool_value is False
    assert rows["mlp 0"].hparams["model.network"].string_value == "MLP"
    results = json.loads(Path("lightning_logs/mlp/version_0/results.json").read_text())
    values = {value.name.tag: value.value for value in rows["mlp 0"].metric_values}
    assert values["test/accuracy"] == pytest.approx(results["test/accuracy"])
    assert [group.sessions[0].status for group in rows.values()] == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN]
    board = Board("lightning_logs/mlp")
    assert set(board.events.Runs()) == {"version_0", "version_1"}
    assert board.rows().keys() == {"mlp 0", "mlp 1"}


def test_a_run_that_has_no_checkpoint_begins_anew(
    digits: Callable[..., list[str]], stop_at: Callable[..., None]
) -> None:
    words = [*digits(), "--data.batch_size", "32"]
    stop_at(5, [*words, "--trainer.log_every_n_steps", "1"])
    main(["fit", *words, "--ckpt_path", "last"])
    board = Board("lightning_logs")
    assert board.steps("mlp/version_0", "train/lr")[:2] == [2, 5]
    assert board.rows().keys() == {"mlp 0"}


def test_runs_below_other_directories_have_other_names(digits: Callable[..., list[str]]) -> None:
    words = [*digits(), "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    for directory in ("first", "second"):
        main(["fit", *words, "--trainer.default_root_dir", directory])
    board = Board(".")
    assert board.rows().keys() == {"first/mlp 0", "second/mlp 0"}


def test_a_logger_of_the_users_own_has_the_settings_too(digits: Callable[..., list[str]]) -> None:
    words = [*digits(), "--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    main(["fit", *words, "--trainer.logger", "TensorBoardLogger", "--trainer.logger.save_dir", "mine"])
    (row,) = Board("mine").rows().values()
    assert row.name == "mlp 0"
    assert row.hparams["data.batch_size"].number_value == 100
    assert row.sessions[0].status == api_pb2.STATUS_SUCCESS
