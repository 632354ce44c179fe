"""`flask data preview`: see what training sees before anything is trained, or what hair removal does."""

from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from ml.data.manifest import SPLITS
from ml.errors import MLError
from webapp.cli.augmentation import augmentation_options, balancing_options, with_augmentation

_folder = click.Path(path_type=Path, file_okay=False)


@click.command("preview")
@click.option("--data", type=_folder, help="Folder made by `flask data prepare`.")
@click.option("--out", type=_folder, required=True, help="Folder to write the page to.")
@click.option("--split", type=click.Choice(SPLITS), default="train", show_default=True,
              help="Of val and test, pictures are shown as they are judged: without any augmentation.")  # fmt: skip
@click.option("--fold", type=click.IntRange(1), help="Of data with folds: its number.")
@click.option("--pictures", type=click.IntRange(1), default=2, show_default=True, help="Pictures of each class.")
@click.option("--views", type=click.IntRange(1), default=6, show_default=True, help="Epochs that are shown of each.")
@click.option("--image-size", type=click.IntRange(32), default=224, show_default=True,
              help="Input side in pixels of the network to be trained.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the run, which also draws the pictures.")
@balancing_options
@augmentation_options
@click.option("--hair", is_flag=True, help="Instead: hair removal before and after, of the pictures in --source.")
@click.option("--source", type=_folder, help="With --hair: folder of pictures; ratings from its manifest.csv.")
@with_appcontext
def preview_command(
    data: Path | None, out: Path, split: str, pictures: int, views: int, hair: bool, source: Path | None, **options: Any
) -> None:
    """Show what training sees: pictures of each class, augmented, without hair, on six skin tones; and class counts.

    The options of `flask train` that say how images are changed and balanced stand here too, and the page shows what
    a run with them would show its network, pixel for pixel. Keep pages of real pictures to yourself.
    """
    if hair != (source is not None) or hair == (data is not None):
        raise click.UsageError("Give --data for what training sees, or --hair with --source for hair removal.")
    try:
        if source is not None:
            _hair(source, out)
        elif data is not None:
            _training(options, data, out, split, pictures, views)
    except MLError as error:
        raise click.ClickException(str(error)) from None


def _hair(source: Path, out: Path) -> None:
    from ml.preview_hair import PAGE, preview_hair

    figures = preview_hair(source, out)
    shares = [picture.share for picture in figures.pictures]
    click.echo(
        f"Pictures {len(shares)}, hair on {min(shares):.1%} to {max(shares):.1%}; {figures.over_hint} get the hint."
    )
    if figures.unreadable:
        click.echo(f"Left out: {figures.unreadable} files that cannot be read as pictures.")
    if figures.correlation is not None:
        click.echo(f"Rank correlation with people's ratings of {figures.rated}: {figures.correlation:.2f} (Spearman).")
    click.echo(f"Written: {out / PAGE}")


def _training(options: dict[str, Any], data: Path, out: Path, split: str, pictures: int, views: int) -> None:
    from ml.preview import PAGE, preview
    from ml.training.config import TrainingConfig

    config = TrainingConfig(**with_augmentation(options))
    balance = preview(config, data, out, split=split, pictures=pictures, views=views)
    augmented = split == "train"
    width = max(len("class"), *(len(row.code) for row in balance))
    head = ["class".ljust(width), " images", " share", *(["  shown", "weight", "learnt"] if augmented else [])]
    click.echo("  ".join(head))
    for row in balance:
        after = [f"{row.shown:7d}", f"{row.weight:6.2f}", f"{row.learnt:6.1%}"] if augmented else []
        click.echo("  ".join([row.code.ljust(width), f"{row.images:7d}", f"{row.share:6.1%}", *after]))
    click.echo(f"Written: {out / PAGE}")
