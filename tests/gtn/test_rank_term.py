import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nasgtn.gtn.rank_term import MIN_KNOWN, RankTerm

MERITS = torch.tensor([0.5, 0.9, 0.7, 0.7, 0.8, 0.6])


def known(scores: list[float], temperature: float = 0.5) -> RankTerm:
    term = RankTerm(MERITS, temperature)
    for index, score in enumerate(scores):
        term.remember(index, score)
    return term


def test_the_loss_is_that_of_pairs_written_out() -> None:
    scores = [0.2, 0.3, 0.5, 0.4, 0.1, 0.6]
    spread = torch.tensor(scores[:2] + scores[3:]).std()
    score = torch.tensor(0.45)
    margins = {i: (0.45 - scores[i]) / (0.5 * spread + 1e-3) for i in (0, 1, 4, 5)}
    expected = [
        F.softplus(-margins[0]),  # merit 0.7 is above 0.5 and 0.6, below 0.8 and 0.9
        F.softplus(margins[1]),
        F.softplus(margins[4]),
        F.softplus(-margins[5]),
    ]
    torch.testing.assert_close(known(scores).loss(2, score), torch.stack(expected).mean())


def test_the_gradient_matches_finite_differences() -> None:
    term = RankTerm(MERITS.double(), 0.5)
    for index in range(5):
        term.remember(index, 0.1 * index)

    def loss(score: Tensor) -> Tensor:
        return term.loss(5, score)

    score = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (score,))


@pytest.mark.parametrize(("anchor", "direction"), [(1, -1), (0, 1)])
def test_the_best_anchor_is_pulled_up_and_the_worst_down(anchor: int, direction: int) -> None:
    score = torch.tensor(0.3, requires_grad=True)
    known([0.2, 0.3, 0.5, 0.4, 0.1, 0.6]).loss(anchor, score).backward()
    assert score.grad is not None
    assert score.grad.sign() == direction


def test_an_order_that_is_right_by_far_costs_nothing() -> None:
    term = known([0.1, 0.5, 0.3, 0.3, 0.4, 0.2], temperature=0.01)
    assert term.loss(1, torch.tensor(0.9)) < 1e-6


def test_a_shift_and_a_scale_of_all_scores_change_nothing() -> None:
    scores = [0.2, 0.3, 0.5, 0.4, 0.1, 0.6]
    one = known(scores).loss(2, torch.tensor(0.45))
    other = known([10 * s + 3 for s in scores]).loss(2, torch.tensor(10 * 0.45 + 3))
    torch.testing.assert_close(one, other, rtol=0.01, atol=0)


def test_few_known_scores_cost_nothing_and_leave_a_gradient_of_zero() -> None:
    score = torch.tensor(0.3, requires_grad=True)
    loss = known([0.2] * (MIN_KNOWN - 1)).loss(5, score)
    loss.backward()
    assert loss == 0
    assert score.grad == 0


def test_the_latest_score_counts() -> None:
    term = known([0.2, 0.3, 0.5, 0.4, 0.1, 0.6])
    term.remember(0, 0.9)
    assert float(term.scores[0]) == pytest.approx(0.9)
