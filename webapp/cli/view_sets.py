"""The sets of views that a command can be asked for, by name."""

import click

VIEW_SETS = ("one", "four", "mixed", "eight")
"""The names of ml.transforms.serving.VIEWS, which is imported only where a command needs it; a test compares them."""
VIEW_SET = click.Choice(VIEW_SETS)
