"""What a segmentation preset says: data, steps, network, loss, schedule. Read from TOML, checked, never changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from groundglass.image.prepare import Preprocessing
from groundglass.training.sample import CHANNELS
from groundglass.training.steps import Augmentation, Preparation
from groundglass.training.steps.base import Chance, Strict
from groundglass.training.steps.preparation import Clahe, HuWindow, LungCrop, LungMultiply
from groundglass.training.steps.spatial import RandomLungCrop

Channel = Literal["lung", "infection", "consolidation"]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Prior = Annotated[float, Field(gt=0.0, lt=1.0)]
RARE, UNDECIDED = 0.05, 0.5
"""Priors: a class of few pixels, and the one that networks have by themselves."""
SIDE_MULTIPLE = 32
"""Sides of network inputs are multiples of this, so that five halvings come out even."""
Side = Annotated[int, Field(multiple_of=SIDE_MULTIPLE, ge=SIDE_MULTIPLE)]


class UNetNetwork(Strict):
    """The classic U-Net (Ronneberger et al. 2015): pooling down, transposed convolutions up.

    Attributes:
        features: Channels at full resolution and after each of the four halvings.
        dropout: Dropout in every block.
        prior: Chance of a class at a pixel before anything is learned. From a low one a rare class is learned much
            faster: no steps are lost on finding out that it is rare (Lin et al. 2017, section 4.1).
    """

    kind: Literal["unet"] = "unet"
    features: tuple[Count, Count, Count, Count, Count] = (32, 64, 128, 256, 512)
    dropout: Chance = 0.0
    prior: Prior = RARE


class BCDUNetwork(Strict):
    """BCDU-Net (Azad et al. 2019): densely connected convolutions, bidirectional ConvLSTM in the skip connections.

    Attributes:
        filters: Channels at full resolution; doubled by each of the three halvings.
        dense_blocks: Densely connected blocks at the bottom.
        dropout: Dropout at the bottom.
        prior: Chance of a class at a pixel before anything is learned.
    """

    kind: Literal["bcdunet"] = "bcdunet"
    filters: Count = 64
    dense_blocks: Count = 3
    dropout: Chance = 0.5
    prior: Prior = RARE


class MobileNetV2Network(Strict):
    """U-Net on a MobileNetV2 encoder (Sandler et al. 2018).

    Attributes:
        decoder: Channels of the decoder levels at stride 16, 8, 4 and 2.
        width: Width multiplier of the encoder.
        pretrained: Folder or cached name of ImageNet weights; without them the encoder starts at random.
        prior: Chance of a class at a pixel before anything is learned.
    """

    kind: Literal["mobilenetv2-unet"] = "mobilenetv2-unet"
    decoder: tuple[Count, Count, Count, Count] = (256, 128, 64, 32)
    width: Positive = 1.0
    pretrained: str | None = "google/mobilenet_v2_1.0_224"
    prior: Prior = RARE


LiteName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


class LiteNetwork(Strict):
    """The flagship's U-Net: EfficientNet-lite encoder, dense convolutions, pixel-shuffle head.

    Attributes:
        encoder: Which EfficientNet-lite.
        decoder: Channels of the decoder levels at stride 16, 8, 4 and 2.
        dropout: Spatial dropout at the bottom.
        pretrained: Start the encoder from ImageNet weights.
        prior: Chance of a class at a pixel before anything is learned.
    """

    kind: Literal["lite-unet"] = "lite-unet"
    encoder: LiteName = "efficientnet-lite0"
    decoder: tuple[Count, Count, Count, Count] = (96, 64, 40, 24)
    dropout: Chance = 0.1
    pretrained: bool = True
    prior: Prior = UNDECIDED


Network = Annotated[UNetNetwork | BCDUNetwork | MobileNetV2Network | LiteNetwork, Field(discriminator="kind")]


class Loss(Strict):
    """What is minimised, over the pixels whose label is known.

    Attributes:
        name: Kind of loss; Dice and Tversky terms are pooled over the batch, per channel.
        class_weights: Weigh lesion pixels against background by their rarity in the batch (BCE and focal terms).
        channel_weights: Weight of each channel in the order of the preset's channels; equal when left out.
        smooth: Pixels added to both halves of the Dice and Tversky fractions.
        gamma: Focusing power of the focal loss (Lin et al. 2017).
        alpha: Weight of false positives in the Tversky loss (Salehi et al. 2017).
        beta: Weight of false negatives.
    """

    name: Literal["bce", "dice", "bce+dice", "focal", "tversky"] = "bce+dice"
    class_weights: bool = False
    channel_weights: tuple[Positive, ...] | None = None
    smooth: Positive = 100.0
    gamma: Annotated[float, Field(ge=0.0)] = 2.0
    alpha: Chance = 0.3
    beta: Chance = 0.7


class Schedule(Strict):
    """How long and how fast a network learns; exactly one of `steps` and `epochs` is given.

    Attributes:
        steps: Steps in all.
        epochs: Passes over the training slices.
        batch: Slices per step, all devices together.
        optimiser: ``adamw``, ``adam`` or ``sgd`` (momentum 0.9).
        rate: Peak learning rate.
        weight_decay: Of the optimiser.
        shape: ``one-cycle`` (Smith 2018), ``cosine`` or ``constant``.
        warmup: Share of the steps in which the one-cycle rate rises.
        clip: Largest norm of the gradient; None leaves it.
        average_decay: Decay per step of the averaged weights that are kept; None keeps the weights themselves.
        validate_every: Steps between validations and checkpoints; None: once an epoch, or 250 steps.
        patience: Validations without a better Dice after which the run stops; None never stops early.
        keep: Export the checkpoint with the ``best`` validation Dice, or the ``last``.
        freeze_encoder: Epochs in which the encoder does not learn.
        precision: ``auto`` (bf16 where the processor has it), ``bf16``, ``fp16`` (GPU) or ``fp32``.
    """

    steps: Count | None = None
    epochs: Count | None = None
    batch: Count = 16
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    shape: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warmup: Chance = 0.08
    clip: Positive | None = 2.0
    average_decay: Chance | None = None
    validate_every: Count | None = None
    patience: Count | None = None
    keep: Literal["best", "last"] = "best"
    freeze_encoder: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of 'steps' and 'epochs'")
        return self


class SourceChoice(Strict):
    """One part of the training set.

    Attributes:
        layout: How it lies on disk; ``auto`` recognises every layout of docs/training.md.
        folder: Folder below the data folder; left out, the data folder itself.
        weight: Share of the samples where sampling is weighted.
        optional: The run goes on without it where it is absent.
    """

    layout: Literal["auto", "medseg", "lung2d", "normal", "negatives", "blank"] = "auto"
    folder: str = ""
    weight: Positive = 1.0
    optional: bool = False


class Preset(Strict):
    """A segmentation preset.

    Attributes:
        task: What kind of network it trains.
        name: Name on the command line.
        title: One line.
        reproduces: What it reproduces, and the numbers published for that.
        channels: What the network finds, each an independent probability.
        sources: What it learns from.
        sampling: ``epochs`` shows every slice once an epoch in random order; ``weighted`` draws source, volume (by
            the root of its number of slices), slice.
        sizes: Sides of the network input in training, one after the other.
        enlarge_in_use: How many times larger slices are shown to the finished network than at the end of training.
            Where training enlarges slices by chance, lungs look smaller in use than they did in training, and more
            than 1 makes up for it (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").
        zoom_in_use: At most so many times slices are enlarged for the finished network, to show little but lungs.
        switch: Share of the steps before the last size.
        validation_share: Share of the patients kept for validation where no folds are named.
        preparation: Steps that every slice takes once.
        augmentation: Random steps.
        network: Architecture.
        loss: Loss.
        schedule: Optimisation.
        shown: How a slice in Hounsfield units or a picture is shown to the finished network.
    """

    task: Literal["segmentation"] = "segmentation"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    title: str
    reproduces: str = ""
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)]
    sources: tuple[SourceChoice, ...] = (SourceChoice(),)
    sampling: Literal["epochs", "weighted"] = "epochs"
    sizes: Annotated[tuple[Side, ...], Field(min_length=1)]
    enlarge_in_use: Annotated[float, Field(ge=1.0, le=4.0)] = 1.0
    zoom_in_use: Annotated[float, Field(ge=1.0, le=4.0)] = 1.0
    switch: Chance = 0.6
    validation_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    preparation: tuple[Preparation, ...] = ()
    augmentation: tuple[Augmentation, ...] = ()
    network: Network
    loss: Loss = Loss()
    schedule: Schedule

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"channels are {list(self.channels)}; expected each once")
        weights = self.loss.channel_weights
        if weights is not None and len(weights) != len(self.channels):
            raise ValueError(f"{len(weights)} channel_weights for {len(self.channels)} channels; expected one each")
        return self

    @property
    def size(self) -> int:
        """Side of the input at the end of training, pixels."""
        return self.sizes[-1]

    @property
    def size_in_use(self) -> int:
        """Side of the input of the finished network, pixels."""
        return SIDE_MULTIPLE * round(self.size * self.enlarge_in_use / SIDE_MULTIPLE)

    @property
    def _coarse_size(self) -> int | None:
        return None if self.size_in_use == self.size else self.size

    @property
    def channel_indices(self) -> tuple[int, ...]:
        """Where the preset's channels stand in `groundglass.training.sample.CHANNELS`."""
        return tuple(CHANNELS.index(channel) for channel in self.channels)

    @property
    def needs_lungs(self) -> bool:
        """Does the preparation need to know where the lungs are (so that a whole slice is not what it saw)?"""
        return any(isinstance(step, LungCrop | LungMultiply) for step in self.preparation)

    @property
    def shown(self) -> Preprocessing:
        """How the finished network is shown a slice: the window and equalisation of the preparation.

        Without such steps (the flagship's augmentation windows) it is the package's standard view. Where the slices
        were cropped to the lungs or blackened outside them, so are those that the network is shown.
        """
        crops = [step for step in self.preparation if isinstance(step, LungCrop)]
        framed: dict[str, Any] = {"lung_frame": crops[-1].per, "lung_margin": crops[-1].margin} if crops else {}
        alone = any(isinstance(step, LungMultiply) for step in self.preparation)
        return replace(self._grey, lungs_alone=alone, **framed)

    @property
    def _grey(self) -> Preprocessing:
        """Window and equalisation alone."""
        plain = Preprocessing(size=self.size_in_use, coarse_size=self._coarse_size, zoom=self.zoom_in_use)
        crops = [step for step in self.augmentation if isinstance(step, RandomLungCrop)]
        if crops and plain.zoom > 1.0:
            plain = replace(plain, lung_margin=crops[0].margin)
        windows = [step for step in self.preparation if isinstance(step, HuWindow)]
        if not windows:
            return plain
        clips = [step for step in self.preparation if isinstance(step, Clahe)]
        clip, tiles = (clips[-1].clip, clips[-1].tiles) if clips else (0.0, 8)
        return replace(
            plain,
            hu_windows=((windows[-1].low, windows[-1].high),),
            hu_clip=clip,
            picture_clips=(clip,),
            picture_mirrored=False,
            tiles=tiles,
        )
