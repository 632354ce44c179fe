"""Options of what training pictures look like and how often each is shown: those of `train` and `data preview`."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import reduce
from typing import Any, TypeVar

import click

from ml.preprocess import Preprocessing, chosen_steps

Command = TypeVar("Command", bound=Callable[..., Any])
_share = click.FloatRange(0, 1)

_AUGMENTATION = (
    click.option(
        "--augmentation",
        default="full",
        show_default=True,
        type=click.Choice(["none", "basic", "full", "strong"]),
        help="How far training images are changed; basic is mirror images alone. The next options change single parts.",
    ),
    click.option("--rotation", type=float, help="Augmentation: largest rotation in degrees."),
    click.option("--right-angles/--no-right-angles", default=None, help="Augmentation: quarter turns."),
    click.option("--crop-min", type=float, help="Augmentation: smallest crop, as a share of the area."),
    click.option(
        "--crop-max", type=float, help="Augmentation: largest crop; above 1 the picture shrinks, mirrored at its edges."
    ),
    click.option("--faults", type=float, help="Augmentation: chance of each fault of a phone's photo, such as noise."),
    click.option("--brightness", type=float),
    click.option("--contrast", type=float),
    click.option("--saturation", type=float),
    click.option("--hue", type=float),
    click.option(
        "--hair-removed-copies", type=_share, default=0.0, show_default=True,
        help="Share of training images shown without their hair, drawn anew in each epoch.",
    ),
    click.option(
        "--skin-tones", type=_share, default=0.0, show_default=True,
        help="Share of training images whose skin is shown in another tone, the lesion kept; drawn anew in each epoch.",
    ),
    click.option("--hair-removal", is_flag=True, help="Paint over dark hair; the finished model does the same."),
    click.option("--noise-reduction", is_flag=True, help="Even out grain; the finished model does the same."),
    click.option("--colour-constancy", is_flag=True, help="Take out colour casts; the finished model does the same."),
)  # fmt: skip
_BALANCING = (
    click.option(
        "--class-weights", default="sqrt", show_default=True, type=click.Choice(["sqrt", "inverse", "none"]),
        help="How much more an image of a rare class counts in the loss: by its frequency, the root of that, or not.",
    ),
    click.option(
        "--balanced-sampling/--plain-sampling", default=False, show_default=True,
        help="Draw images so that every class comes as often, for --class-weights none; or show each once an epoch.",
    ),
)  # fmt: skip


def augmentation_options(command: Command) -> Command:
    """Adds the options that say how training images are prepared and changed."""
    return reduce(lambda found, option: option(found), reversed(_AUGMENTATION), command)


def balancing_options(command: Command) -> Command:
    """Adds the options that make up for rare classes."""
    return reduce(lambda found, option: option(found), reversed(_BALANCING), command)


def with_augmentation(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with `augmentation` and `preprocessing` as a TrainingConfig takes them, for those of this module."""
    from ml.transforms.training import STRENGTHS, Augmentation

    parts = {f.name: options[f.name] for f in fields(Augmentation) if options.get(f.name) is not None}
    steps = tuple(f.name for f in fields(Preprocessing) if options[f.name])
    used = {f.name for kind in (Augmentation, Preprocessing) for f in fields(kind)}
    return {
        **{name: value for name, value in options.items() if name not in used},
        "augmentation": replace(STRENGTHS[options["augmentation"]], **parts),
        "preprocessing": chosen_steps(steps),
    }
