"""What the search of a run works on, and the stage after it: who is verified, and how well."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from nasgtn.anchors import draw_anchors, evaluate_anchors, merit_seed, read_anchors
from nasgtn.artefacts import ANCHORS, BASELINES, CONTROL, PROXY, SHORTLIST, VERIFICATION
from nasgtn.candidacy import Pool, fused_records, rate
from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import GtnProxy, RealBudget, RealSteps
from nasgtn.fusion import PARTS, Reference
from nasgtn.gtn import TrainedGenerator
from nasgtn.preparation import Run, load_shortlist_merit
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import FUSIONS, Evaluation, append_record, read_records, write_records
from nasgtn.search import (
    FusedScore,
    Gate,
    Problem,
    TrainingFree,
    add_verified,
    best_candidates,
    comparable,
    control_group,
    proxy_seed,
)
from nasgtn.spaces import Architecture
from nasgtn.verification import (
    Chosen,
    VerificationConfig,
    baseline_seed,
    count_costs,
    evaluate_baselines,
    verify_chosen,
)

N_REFERENCE = 24
"""Architectures in the group that ranks what a search by the fused score proposes, at least."""


def verification_seed(run: Run, number: int) -> int:
    """Derive the seed of full trainings."""
    return derive_seed(run.config.seed, "verification", number)


def anchor_seed(run: Run) -> int:
    """Derive the seed of the anchors' trainings: that of the first verification, if not short."""
    return merit_seed(run.config.anchors, run.config.seed, full=verification_seed(run, 0))


def verification_stage(
    run: Run,
    generator: TrainedGenerator,
    progress: Progress,
    *,
    usual: VerificationConfig | None = None,
) -> None:
    """Draw the control, score all that may be verified, choose candidates, verify.

    Args:
        run: Says how many are verified in all.
        generator: Of the proxy.
        progress: Told by every part.
        usual: What the run began with: candidates beyond that are chosen in a round after its own.
    """
    config, folder = run.config, run.folder
    control = _control(run, generator, (), progress)
    pool = _score_pool(run, generator, control, progress)
    showing = _showing_verified(run, progress)
    seeds = [verification_seed(run, n) for n in range(config.verification.n_seeds)]
    rounds = _rounds_of_candidates(run, pool, usual or config.verification, progress)
    for candidates, is_last in rounds:
        if is_last and not {*map(_id, control)}.isdisjoint(map(_id, candidates)):
            control = _control(run, generator, candidates, progress)
            _score_pool(run, generator, control, progress)
        chosen = Chosen(candidates=candidates, control=control if is_last else ())
        verify_chosen(run.truth, run.space, chosen, folder, seeds, progress=showing)
    real = _real_steps(run, generator)
    evaluate_baselines([real], chosen.all, run.space, folder, seed=config.seed, progress=progress)
    proxy = GtnProxy.of(generator, run.space, run.splits, config.proxy)
    evaluators = [proxy, *_free(run), real]
    count_costs(evaluators, run.truth, chosen, run.space, folder, progress=progress)


def _showing_verified(run: Run, progress: Progress) -> Progress:
    """Add each training to the study as soon as it is finished, so that a dashboard shows it."""
    n_shown = 0

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        nonlocal n_shown
        verified = read_records(run.folder / VERIFICATION)
        if len(verified) > n_shown:
            scored = [*read_records(run.folder / CONTROL), *read_records(run.folder / PROXY)]
            add_verified(run.place, verified, scored, run.space)
            n_shown = len(verified)
        progress(stage, done, total, note)

    return tell


def _score_pool(
    run: Run,
    generator: TrainedGenerator,
    control: Sequence[Evaluation],
    progress: Progress,
) -> Pool:
    """Score candidates, anchors and control by every part of the fused score, and fuse."""
    folder, seed = run.folder, run.config.seed
    scored = comparable([*read_records(folder / PROXY), *control])
    anchors = read_anchors(folder)
    known = {one.architecture_id for one in scored}
    unsearched = _scored_by_proxy(
        run,
        generator,
        [run.space.architecture(one.choices) for one in anchors if _id(one) not in known],
    )
    found = evaluate_baselines(
        _free(run), [*scored, *unsearched], run.space, folder, seed=seed, progress=progress
    )
    pool = Pool.of([one.architecture_id for one in (*scored, *unsearched)], found)
    labels = _labels(run, ())  # before any is verified
    fused = fused_records(pool, scored, labels, seed=seed)
    done = {(one.evaluator, one.architecture_id) for one in found}
    if any((one.evaluator, one.architecture_id) not in done for one in fused):
        # Ranks are those of the whole pool, so all are written again.
        others = [one for one in found if one.evaluator not in FUSIONS]
        write_records(folder / BASELINES, [*others, *fused])
    return pool


def _free(run: Run) -> list[Evaluator]:
    """Make all baselines that need no training."""
    return [made(run.space, run.splits.task, run.splits.train) for made in ZERO_COST.values()]


def _scored_by_proxy(
    run: Run,
    generator: TrainedGenerator,
    architectures: Sequence[Architecture],
    progress: Progress = silent,
) -> list[Evaluation]:
    """Score architectures beside the search, a line in `baselines.jsonl` each, or look them up."""
    proxy = GtnProxy.of(generator, run.space, run.splits, run.config.proxy)
    path = run.folder / BASELINES
    found = {_id(one): one for one in read_records(path) if one.evaluator == proxy.name}
    for number, one in enumerate(architectures, start=1):
        if one.id not in found:
            found[one.id] = evaluate(proxy, one, seed=proxy_seed(run.config.seed))
            append_record(path, found[one.id])
        progress("reference", number, len(architectures))
    return [found[one.id] for one in architectures]


def _rounds_of_candidates(
    run: Run, pool: Pool, usual: VerificationConfig, progress: Progress
) -> Iterable[tuple[list[Evaluation], bool]]:
    """Yield the candidates up to each round, and whether it is the last one."""
    config = run.config.verification
    if config.shortlist:
        return [(_best_of_shortlist(run, pool, usual, progress), True)]
    return _choose_in_rounds(run, pool, _cuts(config.candidates, usual.candidates, usual.rounds))


def _best_of_shortlist(
    run: Run, pool: Pool, usual: VerificationConfig, progress: Progress
) -> list[Evaluation]:
    """Train a shortlist shortly, and choose the candidates from it by what was found."""
    config, folder = run.config.verification, run.folder
    merit = load_shortlist_merit(run)
    # Anchors have had that training, unless it is another one.
    before = [] if run.config.shortlist_is_its_own else read_records(folder / ANCHORS)
    anchors = {*map(_id, before)}
    cuts = _cuts(config.shortlist, usual.shortlist, usual.rounds)
    for shortlist, _ in _choose_in_rounds(run, pool, cuts):
        evaluate_anchors(
            merit,
            [run.space.architecture(one.choices) for one in shortlist if _id(one) not in anchors],
            folder / SHORTLIST,
            seed=merit_seed(run.config.shortlist_training, run.config.seed, full=0),
            progress=lambda _, done, total, note="": progress("shortlist", done, total, note),
        )
    found = _accuracies([*before, *read_records(folder / SHORTLIST)])
    trained = [replace(one, score=found[_id(one)]) for one in shortlist if _id(one) in found]
    best = best_candidates(trained, config.candidates, run.config.search.objectives)
    ids = [*map(_id, best), *(_id(one) for one in shortlist if _id(one) not in found)]
    evaluations = {_id(one): one for one in shortlist}
    return [evaluations[name] for name in ids[: config.candidates]]


def _cuts(n: int, usual: int, n_rounds: int) -> list[int]:
    """Say how many are chosen after each round; what is asked for beyond the usual is one more.

    >>> _cuts(4, 4, 2), _cuts(7, 4, 2), _cuts(3, 4, 2)
    ([2, 4], [2, 4, 7], [2, 3])
    """
    cuts = [min(n, math.ceil(usual * number / n_rounds)) for number in range(1, n_rounds + 1)]
    return [*cuts, n] if n > usual else cuts


def _choose_in_rounds(
    run: Run, pool: Pool, cuts: Sequence[int]
) -> Iterator[tuple[list[Evaluation], bool]]:
    """Yield the choice up to each round, and whether it is the last one."""
    chosen: list[Evaluation] = []
    for number, n_all in enumerate(cuts, start=1):
        chosen += _best_beside(run, pool, chosen)[: n_all - len(chosen)]
        yield list(chosen), number == len(cuts)


def _best_beside(run: Run, pool: Pool, before: Sequence[Evaluation]) -> list[Evaluation]:
    """Order what is not chosen yet, best first, knowing what was found out about the others."""
    config, seed = run.config.verification, run.config.seed
    evaluations = {one.architecture_id: one for one in read_records(run.folder / PROXY)}
    records = comparable(list(evaluations.values()))
    known = {*map(_id, before)}
    if config.score == "fused":
        has_learned = before and not run.config.shortlist_is_its_own
        acquisition = config.acquisition if has_learned else "mean"
        ratings = rate(pool, _labels(run, known), acquisition, seed=seed)
        records = [replace(one, score=ratings[one.architecture_id]) for one in records]
    best = best_candidates(records, len(records), run.config.search.objectives)
    return [evaluations[_id(one)] for one in best if _id(one) not in known]


def _labels(run: Run, trained: Collection[str]) -> dict[str, float]:
    """Read the validation accuracies of the anchors, and of what was `trained` as long as they."""
    file = SHORTLIST if run.config.anchors.are_short else VERIFICATION
    others = [] if run.config.shortlist_is_its_own else read_records(run.folder / file)
    known = [one for one in others if _id(one) in trained]
    return _accuracies([*read_anchors(run.folder), *known])


def _accuracies(records: Sequence[Evaluation]) -> dict[str, float]:
    """Take each architecture's mean validation accuracy; some trainings are in two files."""
    found: dict[str, dict[int, float]] = {}
    for record in records:
        if record.score is not None:
            accuracy = record.metrics["validation_accuracy"]
            found.setdefault(record.architecture_id, {})[record.seed] = accuracy
    return {name: fmean(accuracies.values()) for name, accuracies in found.items()}


def _control(
    run: Run,
    generator: TrainedGenerator,
    candidates: Sequence[Evaluation],
    progress: Progress,
) -> list[Evaluation]:
    """Draw the control from the whole space; anchors are none, as the generator has seen them."""
    anchors = read_records(run.folder / ANCHORS)
    return control_group(
        replace(_problem(run, generator), records=run.folder / CONTROL),
        run.config.search,
        run.config.verification.control,
        searched=read_records(run.folder / PROXY),
        exclude={*map(_id, anchors), *generator.anchors, *map(_id, candidates)},
        progress=progress,
    )


def _id(evaluation: Evaluation) -> str:
    return evaluation.architecture_id


def problem_of(run: Run, generator: TrainedGenerator) -> Problem:
    """Make what the search of a run works on."""
    return replace(_problem(run, generator), gate=_gate(run), fused=_fused_score(run))


def _problem(run: Run, generator: TrainedGenerator) -> Problem:
    """Make what search and control have in common."""
    proxy = GtnProxy.of(generator, run.space, run.splits, run.config.proxy)
    return Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=proxy,
        records=run.folder / PROXY,
        seed=run.config.seed,
        device=run.device,
        rungs=proxy.rungs,
    )


def score_reference(run: Run, generator: TrainedGenerator, progress: Progress) -> None:
    """Score the group in which a search by the fused score ranks what it proposes."""
    if run.config.search.score == "fused":
        scored = _scored_by_proxy(run, generator, _reference(run), progress)
        evaluate_baselines(
            list(training_free(run).evaluators.values()),
            scored,
            run.space,
            run.folder,
            seed=run.config.seed,
            progress=lambda _, done, total, note="": progress("reference", done, total, note),
        )


def _reference(run: Run) -> list[Architecture]:
    """Draw the anchors, or at least so many."""
    n = max(run.config.anchors.n, N_REFERENCE)
    return draw_anchors(run.space, run.splits.task, n, seed=run.config.seed)


def _fused_score(run: Run) -> FusedScore | None:
    """Make what a search is told by the fused score, which the anchors choose the sum of."""
    if run.config.search.score != "fused":
        return None
    pool = Pool.of([one.id for one in _reference(run)], read_records(run.folder / BASELINES))
    weights = pool.chosen_sum(_labels(run, ()), seed=run.config.seed)
    return FusedScore(
        free=training_free(run), reference=Reference(scores=pool.scores, weights=weights)
    )


def _gate(run: Run) -> Gate | None:
    """Make the gate, if there is to be one."""
    share = run.config.search.gate
    if not share:
        return None
    free = training_free(run)
    return Gate(free=free, weights={name: PARTS[name] for name in free.evaluators}, share=share)


def training_free(run: Run) -> TrainingFree:
    """Make the training-free parts of the fused score, which verification finds again."""
    return TrainingFree(
        evaluators={
            name: made(run.space, run.splits.task, run.splits.train)
            for name, made in ZERO_COST.items()
            if PARTS.get(name)
        },
        records=run.folder / BASELINES,
        seed=baseline_seed(run.config.seed),
    )


def _real_steps(run: Run, generator: TrainedGenerator) -> Evaluator:
    """Make the baseline that trains on as many real batches as the proxy does."""
    budget = RealBudget.like(
        generator.config.curriculum, run.splits.task.n_classes, run.config.proxy.n_steps
    )
    small = run.splits.shrunk(generator.config.image_size)
    inner_loop = generator.config.inner_loop
    proxy = run.config.proxy.scored_by(generator.config.meta_training.rank_score)
    return RealSteps(generator.look_alikes(run.space), small, budget, proxy, inner_loop)
