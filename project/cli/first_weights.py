"""The weights from which a fit begins that starts from no checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only

from project.cli.commands import given_options
from project.networks.pretrained import load_weights
from project.networks.pretrained_network import PretrainedNetwork
from project.networks.weights import read_weights, take_weights
from project.runs.checkpoint_path import find_path
from project.runs.plan import RunPlan
from project.system.errors import UserError
from project.training.classifier import Classifier

OPTION = "--model.weights"


def weights_file(weights: str | None, plan: RunPlan, words: Sequence[str]) -> str | None:
    """The file that --model.weights means; a run that starts from a checkpoint does not need it.

    Raises:
        UserError: there is no such checkpoint, or a new run has --ckpt_path as well.
    """
    if weights is None or (plan.resumed and plan.checkpoint):
        return weights
    if plan.checkpoint:
        if "model.weights" in dict(given_options(words)):
            problem = f"{plan.checkpoint_path} has the weights with which this run begins"
            raise UserError(f"{OPTION} {weights}: {problem}; leave out that or --ckpt_path")
        return weights
    return str(find_path(weights, plan.root, option=OPTION))


def take_first_weights(model: Classifier) -> None:
    """Take the weights that the options name, and print what was taken. Raises UserError if they do not fit."""
    if model.weights is None:
        if isinstance(model.network, PretrainedNetwork):
            load_weights(model.network)
        return
    try:
        state, averaged = read_weights(Path(model.weights))
        taken = take_weights(model.network, state)
    except ValueError as error:
        raise UserError(f"{OPTION} {model.weights}: {error}") from None
    model.taken_weights = taken.names
    which = " (the averaged weights)" if averaged else ""
    rank_zero_only(print)(f"{OPTION} {model.weights}{which}: {taken}", flush=True)
