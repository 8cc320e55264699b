"""Where the network of a fold comes from: trained for it, or trained before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundglass.errors import OptionError
from groundglass.evaluation.layouts import LabelledData
from groundglass.models.catalog import ModelCard, load_card
from groundglass.models.place import card_at
from groundglass.progress import Progress, silent
from groundglass.training.callbacks import LAST
from groundglass.training.crossval import FoldModel, require_unseen
from groundglass.training.crossval_splits import FoldPlan
from groundglass.training.presets import Preset
from groundglass.training.run import TrainOptions, train
from groundglass.training.transfer import find_start

TRAINING = "training"


def trained(
    preset: Preset, options: TrainOptions, progress: Progress = silent, *, start: Path | None = None
) -> FoldModel:
    """Trains the network of each fold; a training that was cut off goes on where it stopped.

    Args:
        preset: what to train.
        options: what the runs change of it.
        progress: called with (stage, done, total).
        start: folder of an earlier cross-validation, of which each fold starts from the network that left the same fold
            out; or one network that has seen no patient of these data.
    """

    def model_of(plan: FoldPlan) -> ModelCard:
        chosen = options if plan.validation is None else replace(options, validation_folds=plan.validation_folds)
        if plan.learn is not None:
            chosen = replace(chosen, test_folds=(plan.fold,))
        if start is not None:
            chosen = replace(chosen, start=start_of_fold(start, plan))
        found = train(
            preset, plan.data, plan.folder / TRAINING, folds=plan.learn, options=chosen, resume=True, progress=progress
        )
        card = load_card(found.card.stem, found.card.parent)
        return card if card.learned_from else replace(card, learned_from=plan.others)

    return model_of


def start_of_fold(start: Path, plan: FoldPlan) -> Path:
    """What the network of a fold starts from: that of the same fold of an earlier cross-validation, or one for all.

    Raises:
        OptionError: there is none, it has learned from a patient of the fold, or nothing says what it learned from.
    """
    if not any(start.glob("fold-*")):
        found = find_start(start)
        if found.card is None:
            raise OptionError(
                f"{found.weights} has no card, so nobody knows whether it has seen the patients to be scored; expected "
                "a network with its card"
            )
        require_unseen(found.card, plan, "patients")
        return start
    folder = start / f"fold-{plan.fold}" / TRAINING
    checkpoint = folder / LAST
    if not checkpoint.is_file():
        raise OptionError(
            f"no checkpoint {checkpoint}; expected the folder of a cross-validation with a finished fold {plan.fold}"
        )
    require_unseen(card_at(str(folder)), plan, "patients")
    return checkpoint


def finished_models(places: Sequence[str], data: LabelledData) -> tuple[FoldModel, dict[int, ModelCard]]:
    """Networks that were trained before, one per fold.

    Args:
        places: `FOLD=PLACE`, or a place alone where the card lists what its network learned from: the fold is then the
            only one of which it has seen nothing. A place is what `card_at` understands.
        data: the labelled volumes with their folds.

    Returns:
        The networks as `cross_validate` takes them, and their cards by fold.

    Raises:
        OptionError: a fold without network or with two, or a network that fits no fold.
    """
    cards: dict[int, ModelCard] = {}
    for text in places:
        number, _, place = text.partition("=")
        named = place and number.strip().isdigit()
        card = card_at(place if named else text)
        fold = int(number) if named else unseen_fold(card, data, text)
        if fold in cards:
            raise OptionError(f"two networks for fold {fold}; expected one each")
        cards[fold] = card
    folds = {case.fold for case in data.cases}
    if missing := sorted(fold for fold in folds if fold is not None and fold not in cards):
        raise OptionError(
            f"no network for fold {missing[0]} of {data.name}; expected one for each of {len(folds)} folds"
        )
    return (lambda plan: cards[plan.fold]), cards


def unseen_fold(card: ModelCard, data: LabelledData, place: str) -> int:
    """The only fold of which a network has learned nothing.

    Raises:
        OptionError: the card does not say what it learned from, or no or several folds fit.
    """
    seen = data.of_patients_in(card.learned_from, card.learned_patients)
    touched = {case.fold for case in data.cases if case.name in seen}
    free = sorted(case.fold for case in data.cases if case.fold is not None and case.fold not in touched)
    if not seen or len(set(free)) != 1:
        known = f"has seen nothing of the folds {sorted(set(free))}" if seen else "does not list what it learned from"
        raise OptionError(f"the model at {place} {known}; say which fold it left out: FOLD={place}")
    return free[0]
