"""`flask conditions`: does a model refuse bad photos before it errs on them?"""

from pathlib import Path

import click
from flask.cli import with_appcontext

from ml.errors import MLError
from webapp.cli.bundles import MODEL_HELP, chosen_bundle
from webapp.cli.view_sets import VIEW_SETS


@click.command("conditions")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder made by `flask data prepare`.")
@click.option(
    "--split", type=click.Choice(["val", "test"]), default="val", show_default=True, help="Images to draw from."
)
@click.option("--model", metavar="BUNDLE", help=MODEL_HELP)
@click.option("--images", type=click.IntRange(1), default=98, show_default=True, help="Lesions, the classes in turn.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for report, figures and table.")
@click.option(
    "--views",
    type=click.Choice([*VIEW_SETS, "card"]),
    default="one",
    show_default=True,
    help="Views that each answer is the mean of; `card` for the model's own, which can take eight times as long.",
)
@click.option("--resamples", type=click.IntRange(1), default=1000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample, the noise and the bootstrap.")
@with_appcontext
def conditions_command(
    data: Path, split: str, model: str | None, images: int, out: Path, views: str, resamples: int, seed: int
) -> None:
    """Measure a model on photos made worse step by step: blur, noise, JPEG, light, colour, distance, skin tone.

    Writes conditions.json, conditions.csv and report.html to --out.
    """
    from ml.conditions_metrics import tone_sentence
    from ml.conditions_study import study_conditions

    try:
        figures = study_conditions(
            chosen_bundle(model), data, split, out, images=images, views=views, resamples=resamples, seed=seed
        )
    except MLError as error:
        raise click.ClickException(str(error)) from error
    for condition in figures["conditions"]:
        click.echo(condition["sentence"])
    click.echo(tone_sentence(figures))
    click.echo(f"Report: {out / 'report.html'}")
