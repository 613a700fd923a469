"""Which state of the generator to keep: the one that orders held-out anchors best."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasgtn.data import Part
from nasgtn.gtn.inner_loop import SyntheticData, unroll
from nasgtn.gtn.learner import Learner
from nasgtn.gtn.scores import late_steps, soft_accuracy
from nasgtn.gtn.synthesis import Gtn
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import SearchSpace


@dataclass(frozen=True, eq=False, kw_only=True)
class Jury:
    """Anchors that judge a generator, some of which it never learned from."""

    space: SearchSpace
    probe: Part
    """Real images, of the generator's size, that scores are measured on."""
    learned: Sequence[Evaluation]
    held_out: Sequence[Evaluation]
    score: str
    """One of `SCORES`."""
    seed: int
    bf16: bool = False
    """As `MetaTrainingConfig.bf16`."""

    def judge(self, gtn: Gtn) -> float:
        """Find the share of pairs with a held-out anchor in them that score in the right order.

        Pairs of equal merit do not count; pairs of equal score count half. In [0, 1].
        """
        return self.judge_by(gtn, (self.score,))[self.score]

    def judge_by(self, gtn: Gtn, names: Sequence[str]) -> dict[str, float]:
        """Judge by each of these scores of the same trainings."""
        anchors = [*self.held_out, *self.learned]
        with torch.no_grad():
            data = gtn.synthesise(torch_rng(derive_seed(self.seed, "synthesis")))
        found = [self._scores(gtn, data, anchor, names) for anchor in anchors]
        return {name: self._share([one[name] for one in found]) for name in names}

    def _share(self, scores: Sequence[Tensor]) -> float:
        found = torch.stack(list(scores))
        merits = torch.tensor([anchor.score for anchor in (*self.held_out, *self.learned)])
        order = (found[:, None] - found).sign() * (merits[:, None] - merits).sign()
        counted = (merits[:, None] != merits).triu(diagonal=1)
        counted[len(self.held_out) :] = False
        return float((1 + order[counted]).mean() / 2) if counted.any() else 0.5

    @torch.no_grad()
    def _scores(
        self, gtn: Gtn, data: SyntheticData, anchor: Evaluation, names: Sequence[str]
    ) -> dict[str, Tensor]:
        network = self.space.network(
            anchor.choices, gtn.task, seed=derive_seed(self.seed, "jury", anchor.architecture_id)
        )
        network = network.to(self.probe.images.device)
        learner = Learner(network, owned=True, bf16=self.bf16)
        end = unroll(learner, learner.initial, data, gtn.config.inner_loop)
        found = {}
        if "late_training_loss" in names:
            found["late_training_loss"] = -end.losses[late_steps(len(data.images))].mean().cpu()
        if "soft_accuracy" in names:
            logits = learner.logits(end.parameters[len(data.images)], self.probe.images)
            found["soft_accuracy"] = soft_accuracy(logits, self.probe.labels).cpu()
        return found
