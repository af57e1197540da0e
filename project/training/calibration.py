"""One temperature that makes probabilities match how often a network is right, and the scores that show it.

The probabilities of an image are softmax(logits / temperature). A temperature above 0 changes no order of the classes,
so it changes no answer (Guo et al., arXiv 1706.04599).
"""

import math

import torch
from torch import Tensor

BINS = 15  # of the expected calibration error
LOG_LIMIT = 10.0  # of |log T|, as in scikit-learn; logits that say nothing of the labels would have T infinite
MAX_ITERATIONS = 100  # of LBFGS; about ten are needed


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the smallest negative log-likelihood, by LBFGS in float64 on its logarithm.

    If every image is right, the likelihood has no maximum: the temperature would go to 0 and each probability to 1. But
    N right answers are no evidence of more than (N + 1) / (N + 2), by the rule of succession. So wherever the mean
    probability of the answers is larger than that, the target of each label is this probability, and the other classes
    share the rest, as in Platt's scaling.

    Args:
        logits: [N, num_classes], finite; N at least 1.
        labels: [N] int64.
    """
    logits = logits.double()
    temperature = _minimise(logits, labels)
    doubt = 1 / (len(labels) + 2)
    if (logits / temperature).softmax(1).amax(1).mean() <= 1 - doubt:
        return temperature
    num_classes = logits.shape[1]
    return _minimise(logits, labels, smoothing=doubt * num_classes / max(1, num_classes - 1))


@torch.inference_mode(False)
@torch.enable_grad()
def _minimise(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> float:
    """The temperature with the smallest cross-entropy, where all classes share `smoothing` of each target equally."""
    logits, labels = logits.clone(), labels.clone()  # autograd takes no tensors of inference mode
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_temperature],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=1e-10,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        temperature = log_temperature.clamp(-LOG_LIMIT, LOG_LIMIT).exp()
        cross_entropy = torch.nn.functional.cross_entropy(logits / temperature, labels, label_smoothing=smoothing)
        cross_entropy.backward()  # type: ignore[no-untyped-call]
        return cross_entropy

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return math.exp(min(max(log_temperature.item(), -LOG_LIMIT), LOG_LIMIT))


def scores(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> dict[str, float]:
    """How well probabilities match labels, in float64; smaller is better, and nan if a logit is not finite.

    nll: the mean negative log-likelihood in nats. brier: the mean over images of the sum over classes of the squared
    differences between probabilities and the one-hot label, from 0 to 2. ece: the expected calibration error, which is
    the mean distance between the probability of the answer and the accuracy in 15 bins of equal width of that
    probability, weighted by their numbers of images.

    Args:
        logits: [N, num_classes].
        labels: [N] int64.
        temperature: Divides the logits.
    """
    if not logits.isfinite().all():
        return dict.fromkeys(("nll", "brier", "ece"), math.nan)
    log_probabilities = (logits.double() / temperature).log_softmax(1)
    probabilities = log_probabilities.exp()
    of_labels = log_probabilities.gather(1, labels[:, None])[:, 0]
    confidence, answers = probabilities.max(1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add_(0, bins, confidence - (answers == labels).double())
    return {
        "nll": -of_labels.mean().item(),
        "brier": (probabilities.square().sum(1) - 2 * of_labels.exp() + 1).mean().item(),
        "ece": gaps.abs().sum().item() / len(labels),
    }
