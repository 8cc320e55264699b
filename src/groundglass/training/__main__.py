"""``python -m groundglass.training --data DIR -o RUN``: trains the lung and infection network."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

import torch

from groundglass.training.data import DataConfig, SliceStream, load_sources
from groundglass.training.loop import CHECKPOINT, FitConfig, Trainer, fit
from groundglass.training.nets.unet import LiteUNet, UNetConfig


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m groundglass.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("-o", "--run", type=Path, required=True, help="folder of the run; resumed if it exists")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3], help="folds of covid20 to learn from")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[192, 256], help="side of the network input in each part of the run"
    )
    parser.add_argument("--switch", type=float, default=0.6, help="share of the steps before the last size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--start", type=Path, help="checkpoint whose averaged weights the run starts from")
    return parser


def main() -> None:
    """Trains at the first size, then at the last."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_flush_denormal(True)  # AdamW's moments of idle weights are denormal, which is slow on a CPU
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.run.mkdir(parents=True, exist_ok=True)
    settings = FitConfig(
        steps=arguments.steps, batch=arguments.batch, learning_rate=arguments.learning_rate, seed=arguments.seed
    )
    network = LiteUNet(UNetConfig())
    if arguments.start:
        network.load_state_dict(torch.load(arguments.start, map_location="cpu", weights_only=True)["averaged"])
    trainer = Trainer(network, settings)
    data = DataConfig(arguments.data, tuple(arguments.folds))
    described = {"arguments": vars(arguments), "fit": dataclasses.asdict(settings), "data": dataclasses.asdict(data)}
    (arguments.run / "config.json").write_text(json.dumps(described, default=str, indent=2))
    first = int(arguments.steps * arguments.switch) if len(arguments.sizes) > 1 else 0
    samples = load_sources(data)
    if (arguments.run / CHECKPOINT).exists():
        trainer.load(arguments.run / CHECKPOINT)
    for size, until in ((arguments.sizes[0], first), (arguments.sizes[-1], arguments.steps)):
        if trainer.step < until:
            part = dataclasses.replace(data, size=size)
            fit(trainer, SliceStream(part, samples, arguments.seed + size + trainer.step), arguments.run, until)


if __name__ == "__main__":
    main()
