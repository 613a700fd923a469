"""The rank term of the meta-loss: anchors shall score in the order of their true accuracies."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

MIN_KNOWN = 4
"""Scores of other anchors that are needed before one can be compared with them."""


class RankTerm:
    """Compares the proxy score of one anchor with the latest known scores of the others.

    A meta-step teaches one learner, and so has one score with a gradient; the others are
    remembered from the meta-steps before. Pairwise logistic loss (Burges et al., "Learning to
    rank using gradient descent", ICML 2005, equation 3), on scores in units of their spread: it
    asks for an order, not for distances.

    Args:
        merits: True accuracies of the anchors, higher is better.
        temperature: Difference in spreads at which an order counts as settled; above 0.
    """

    def __init__(self, merits: Float[Tensor, " anchors"], temperature: float) -> None:
        self._merits = merits
        self._temperature = temperature
        self.scores: Float[Tensor, " anchors"] = torch.full_like(merits, torch.nan)
        """The latest of each anchor; NaN: none so far."""

    def __len__(self) -> int:
        return len(self._merits)

    def loss(self, index: int, score: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Mean over the other anchors of log(1 + exp(-margin)), in nats; 0 while few are known."""
        known = ~self.scores.isnan()
        known[index] = False
        others = self.scores[known]
        if len(others) < MIN_KNOWN:
            return 0 * score
        margins = (score - others) / (self._temperature * others.std() + 1e-3)
        order = (self._merits[index] - self._merits[known]).sign()
        return (order.abs() * F.softplus(-order * margins)).sum() / order.abs().sum().clamp(min=1)

    def remember(self, index: int, score: float) -> None:
        self.scores[index] = score
