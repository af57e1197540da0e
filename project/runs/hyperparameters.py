"""TensorBoard's HPARAMS page: the settings of each run beside its figures."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_BOOL,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_SUCCESS,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # hparams.api has it too, but needs TensorFlow
from tensorboard.summary.writer.record_writer import RecordWriter

# TensorBoard shows five settings at first: those that "differ", in the order of their names.
FIRST = ("data.batch_size", "model.network", "model.optimizer", "model.optimizer.lr", "trainer.max_epochs")
TYPES = {bool: DATA_TYPE_BOOL, int: DATA_TYPE_FLOAT64, float: DATA_TYPE_FLOAT64, str: DATA_TYPE_STRING}
FILES = "events.*.hparams"


def write_start(
    directory: Path, trial: str, settings: Mapping[str, bool | float | str], metrics: Sequence[str]
) -> None:
    """Write the settings of a run that starts or is resumed, in place of those of an earlier start.

    Args:
        directory: Of the event files.
        trial: The name of the run on the page. Runs with the same name share a row.
        settings: One level, as project.runs.settings.shown_settings gives them.
        metrics: The tags of the figures that are shown beside the settings.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for earlier in directory.glob(FILES):  # TensorBoard would keep the settings that it reads first
        earlier.unlink()
    infos = [HParamInfo(name=name, type=TYPES[type(value)], differs=name in FIRST) for name, value in settings.items()]
    shown = [MetricInfo(name=MetricName(tag=tag)) for tag in metrics]
    experiment = HParamsPluginData(experiment=Experiment(hparam_infos=infos, metric_infos=shown))
    # TensorBoard reads the files in the order of their names, and reads on only in the last one: the one of the curves.
    file = directory / f"events.out.tfevents.{int(time.time()) - 1}.hparams"
    with file.open("wb") as opened:
        writer = RecordWriter(opened)
        writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for summary in (_summary(metadata.EXPERIMENT_TAG, experiment), hparams_pb(settings, trial)):
            writer.write(Event(wall_time=time.time(), summary=summary).SerializeToString())


def write_end(directory: Path) -> None:
    """Write that the run has finished."""
    end = HParamsPluginData(session_end_info=SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time()))
    event = Event(wall_time=time.time(), summary=_summary(metadata.SESSION_END_INFO_TAG, end))
    for file in directory.glob(FILES):
        with file.open("ab") as opened:
            RecordWriter(opened).write(event.SerializeToString())


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
