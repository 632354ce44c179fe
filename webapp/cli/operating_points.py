"""What is asked of the thresholds on malignant risk: the same options wherever they are fixed on validation."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def operating_point_options(command: Command) -> Command:
    """Adds --sensitivity and --missed, as in ml.training.config.OperatingPoints."""
    missed = click.option(
        "--missed",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.02,
        show_default=True,
        help="Share of malignant lesions to come that benign may be expected to miss.",
    )
    sensitivity = click.option(
        "--sensitivity",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.90,
        show_default=True,
        help="Lower bound asked of the malignant threshold.",
    )
    return sensitivity(missed(command))
