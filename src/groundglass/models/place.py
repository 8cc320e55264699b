"""Networks by where they are: shipped ones by name, one's own by the place that training left them in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundglass.errors import UnknownModelError, UnusableModelError
from groundglass.models.catalog import ModelCard, available, load_card

EXPECTED = (
    "expected the name of a shipped model ({names}), an .onnx file with its card (.json) beside it, or the folder of a "
    "finished `groundglass train` run"
)
INSIDE = (".", "model", "export", "training/model")
"""Where in the folder of a run the exported network may lie; the last is that of one fold of `crossval`."""
FOLDS = "fold-*/training/model/*.json"
CHECKPOINTS = ("last.ckpt", "best.ckpt", "checkpoint.pt", "training/last.ckpt")


def card_at(place: str | Path) -> ModelCard:
    """The card of a model by its name, its ONNX file, its card, or the folder that they lie in (a finished run).

    Args:
        place: a name from `available`, or a path.

    Raises:
        UnknownModelError: nothing of that kind there, or several models in the folder.
        UnusableModelError: the card cannot be understood.
    """
    if str(place) in available():
        return load_card(str(place))
    path = Path(place).expanduser()
    if path.is_file():
        return _beside(path)
    if not path.is_dir():
        raise UnknownModelError(f"no model at {place}: nothing is at that path; {_expected()}")
    cards = _cards_in(path)
    if len(cards) == 1:
        return _beside(cards[0])
    if cards:
        names = ", ".join(card.relative_to(path).as_posix() for card in cards)
        raise UnknownModelError(f"{len(cards)} models in {place} ({names}); expected one: name its .onnx file")
    if folds := [card.relative_to(path).parts[0] for card in sorted(path.glob(FOLDS)) if _has_weights(card)]:
        raise UnknownModelError(
            f"{place} is a cross-validation with a network per fold ({', '.join(folds)}); choose one, such as "
            f"{path / folds[0]}"
        )
    raise UnknownModelError(f"no model in {place}; {_advice(path)}")


def segmentation_cards(place: str | Path) -> tuple[ModelCard, ModelCard]:
    """The cards of the networks for the lungs and for the infection; often the same.

    What the network at a place does not find comes from the shipped one: the infection for a network of the lungs, the
    lungs for one of the infection, and the lungs for one that must be shown where they are.

    Args:
        place: as for `card_at`.

    Raises:
        UnknownModelError: no model there.
        UnusableModelError: a model for another task.
    """
    card = card_at(place)
    if card.classifier is not None:
        raise UnusableModelError(
            f"the model '{card.name}' at {place} is a classifier ({', '.join(card.channels)}); expected a network that "
            "segments lungs or infection"
        )
    if not {"lung", "infection"} & set(card.channels):
        raise UnusableModelError(
            f"the model '{card.name}' at {place} finds {', '.join(card.channels)}; expected a channel 'lung' or "
            "'infection'"
        )
    finds_lungs = "lung" in card.channels and not card.preprocessing.needs_lungs
    if not finds_lungs and "infection" not in card.channels:
        raise UnusableModelError(
            f"the model '{card.name}' at {place} finds the lungs, but was trained on slices cropped to the lungs; "
            "train it on whole slices (without the steps lung-crop and lung-multiply)"
        )
    return card if finds_lungs else load_card(), card if "infection" in card.channels else load_card()


def _beside(path: Path) -> ModelCard:
    """The card of an ONNX file or a card file, which may have been renamed together."""
    weights, card = path.with_suffix(".onnx"), path.with_suffix(".json")
    if path.suffix.lower() not in (".onnx", ".json"):
        raise UnknownModelError(f"{path} is neither an .onnx file nor its card; {_expected()}")
    if not card.is_file():
        raise UnknownModelError(
            f"{path} has no model card; expected {card.name} beside it, which says what the network expects to see and "
            "finds, as `groundglass train` writes it"
        )
    if not weights.is_file():
        raise UnknownModelError(f"{path} has no weights; expected {weights.name} beside it")
    return replace(load_card(card.stem, card.parent), file=weights.name)


def _cards_in(folder: Path) -> list[Path]:
    found = [card for inside in INSIDE for card in sorted((folder / inside).glob("*.json"))]
    return [card for card in found if _has_weights(card)]


def _has_weights(card: Path) -> bool:
    return card.with_suffix(".onnx").is_file()


def _advice(folder: Path) -> str:
    if any((folder / name).is_file() for name in CHECKPOINTS):
        return "it holds a training run that is not finished: give the same `groundglass train` command again"
    loose = sorted(path.name for path in folder.glob("*.onnx"))
    if loose:
        return f"{', '.join(loose)} has no card (.json) beside it; {_expected()}"
    return _expected()


def _expected() -> str:
    return EXPECTED.format(names=", ".join(available()))
