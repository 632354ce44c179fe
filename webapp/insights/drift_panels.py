"""The section about drift: how the photos of a period are spread, beside those that the model was trained on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from flask import current_app
from flask_babel import format_decimal

from ml.drift import (
    MODERATE,
    group_edges,
    histogram_shares,
    quantiles_of,
    reference_shares,
    stability_index,
    stability_limit,
)
from ml.errors import BundleError
from webapp.i18n import gettext as _
from webapp.i18n import number
from webapp.inference import get_models
from webapp.insights import bins
from webapp.insights.figures import Figures, add_up
from webapp.insights.panels import Panel, Section
from webapp.insights.picture import draw_shares
from webapp.insights.sections import measure_title
from webapp.insights.selection import Selection, baseline

LEAST = 50
"""Photos on either side for a comparison."""
Quantiles = tuple[Sequence[float], float]


def drift_section(selection: Selection, figures: Figures, today: date) -> Section:
    """The photos after the baseline against the training's, for the model with the most answers."""
    model = selection.model or _commonest(selection, figures)
    intro = _(
        "The photos since the end of the baseline, beside those that %(model)s was trained on: share in each tenth of "
        "the training pictures (grey) and of the photos. The population stability index says how far the two differ: "
        "from 0.1 moderately, from 0.25 strongly (Siddiqi 2006), later for few photos, which differ by chance "
        "(Yurdakul and Naranjo 2020).",
        model=model or "\N{EN DASH}",
    )
    chosen = add_up(figures.days, replace(selection, model=model), today) if model else figures
    known = training_inputs(model) if model else {}
    panels = [panel for measure in bins.INPUTS if (panel := _panel(chosen, measure, known.get(measure))) is not None]
    return Section("drift", _("Drift of the photos"), intro, panels)


def training_inputs(model: str) -> dict[str, Quantiles]:
    """What is known of the pictures that NAME@VERSION was trained on: evenly spaced quantiles by measure, and of how
    many pictures. Bundles from before these were kept tell the distances of their confirmed cases only."""
    kept: dict[str, dict[str, Quantiles]] = current_app.extensions.setdefault("training_inputs", {})
    if model not in kept:
        name, _at, version = model.partition("@")
        reference = get_models().reference(name, version)
        if reference is None:
            return {}
        gate = reference.bundle.card.gate
        count = float(reference.bundle.card.data.get("splits", {}).get("train", {}).get("images", 1000))
        found = {measure: (quantiles, count) for measure, quantiles in gate.get("inputs", {}).items()}
        if not found and reference.cases is not None:
            try:
                distances = reference.cases.novelty(reference.bundle.gate_arrays()["bank"])
                found = {"novelty": (quantiles_of(distances), float(len(distances)))}
            except (BundleError, KeyError, ValueError):
                found = {}
        kept[model] = found
    return kept[model]


def _commonest(selection: Selection, figures: Figures) -> str:
    return next((model for model, _count in figures.screenings_by(selection, "model").most_common(1)), "")


def _panel(figures: Figures, measure: str, known: Quantiles | None) -> Panel | None:
    early, late = bins.empty(), bins.empty()
    for first, sums in zip(baseline(list(figures.spans)), figures.sums, strict=True):
        bins.merge(early if first else late, sums.measured[measure])
    if known is None and early["n"] >= LEAST:
        steps = [bins.quantile(early, measure, share) or 0.0 for share in np.linspace(0, 1, 21)]
        known, against = (steps, float(early["n"])), _("The training's are not known: compared with the baseline.")
    else:
        against = ""
    if known is None or late["n"] < LEAST:
        return None
    quantiles, count = known
    edges = group_edges(quantiles)
    if not len(edges):
        return None
    expected = reference_shares(quantiles, edges)
    found = histogram_shares(bins.EDGES[measure], bins.counts(late, measure), edges)
    index, limit = stability_index(expected, found, late["n"]), stability_limit(len(expected), late["n"], count)
    verdict = _("a strong shift") if index >= limit else _("a moderate shift") if index >= MODERATE else _("no shift")
    note = _(
        "Population stability index %(index)s on %(count)d photos: %(verdict)s (strong from %(limit)s).",
        index=format_decimal(index, "0.00"), count=late["n"], verdict=verdict, limit=format_decimal(limit, "0.00"),
    )  # fmt: skip
    title = measure_title(measure)
    texts = [number(round(float(edge), 2)) for edge in edges]
    bounds = ["", *texts, ""]
    return Panel(
        f"drift-{measure}",
        title,
        f"{note} {against}".strip(),
        draw_shares(expected, found, texts, f"drift-{measure}", title, note),
        [
            ("from", _("From"), "text"),
            ("to", _("To"), "text"),
            ("expected", _("Expected"), "share"),
            ("found", _("Found"), "share"),
        ],
        [
            (bounds[place], bounds[place + 1], float(expected[place]), float(found[place]))
            for place in range(len(expected))
        ],
    )
