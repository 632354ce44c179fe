"""Templates of the pages that commands write; strict, so that a name which a page lacks is an error and no gap."""

from pathlib import Path

import jinja2


def environment(folder: Path = Path(__file__).parent) -> jinja2.Environment:
    """What reads the templates of self-contained HTML pages in `folder`, everything shown in them escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
