"""`flask export`: a model for phones and other runtimes."""

from pathlib import Path

import click
from flask.cli import with_appcontext

from ml.errors import MLError
from webapp.cli.bundles import chosen_bundle


@click.command("export")
@click.argument("model", metavar="BUNDLE")
@click.option("--format", "style", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
@with_appcontext
def export_command(model: str, style: str, out: Path) -> None:
    """Write BUNDLE (NAME, NAME@VERSION or a path) as one ONNX file with its weights inside.

    Beside it go README.md on what to do before and after it, an example reader in Python, and the model's card. The
    file is compared with the bundle before it is written. The gate is not in it: it answers every picture.
    """
    from ml.onnx_export import README, export_onnx

    try:
        path = export_onnx(chosen_bundle(model), out)
    except MLError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    click.echo(f"How to use it: {out / README}")
