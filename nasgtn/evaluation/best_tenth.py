"""The best tenth of a space, where true accuracies are looked up."""

import math
from collections.abc import Sequence
from itertools import compress

from nasgtn.evaluation.evaluator import Evaluator, evaluate
from nasgtn.ranking import best_tenth
from nasgtn.records import or_lowest
from nasgtn.spaces import Architecture, Choices, SearchSpace, part


def best_tenth_of(
    space: SearchSpace, truth: Evaluator, sample: Sequence[Architecture]
) -> SearchSpace:
    """Make the part of a space that is as good as the best tenth of a sample.

    Of a random sample few belong to it, too few to judge an order by.

    Args:
        space: Where the sample comes from.
        truth: Looks true accuracies up: it is asked for every architecture that is drawn. One
            that it cannot score belongs to no tenth.
        sample: Random architectures.
    """

    def value(architecture: Architecture) -> float:
        return or_lowest(evaluate(truth, architecture, seed=0).score)

    known = [found for one in sample if (found := value(one)) > -math.inf]
    lowest = min(compress(known, best_tenth(known)), default=math.inf)

    def accepts(choices: Choices) -> bool:
        return value(space.architecture(choices)) >= lowest

    return part(space, "of the best tenth", accepts)
