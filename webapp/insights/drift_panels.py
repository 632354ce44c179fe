"""The section about drift: how the photos of a period are spread, beside those that the model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from flask import current_app
from flask_babel import format_decimal
from numpy.typing import NDArray

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
from webapp.insights.panels import Panel, Section, lines_panel
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
    panels = [panel for measure in bins.INPUTS for panel in _panels(chosen, measure, known.get(measure))]
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


@dataclass(frozen=True)
class Reference:
    """What photos are held against: shares of it in the groups between `edges`, of how many pictures; `told` says what
    it is, where it is not the training's."""

    edges: NDArray[np.float64]
    shares: NDArray[np.float64]
    count: float
    told: str = ""


def _panels(figures: Figures, measure: str, known: Quantiles | None) -> list[Panel]:
    """One measure in the whole period, and bucket by bucket; nothing where there are too few photos."""
    early, late = bins.empty(), bins.empty()
    for first, sums in zip(baseline(list(figures.spans)), figures.sums, strict=True):
        bins.merge(early if first else late, sums.measured[measure])
    told = ""
    if known is None and early["n"] >= LEAST:
        steps = [bins.quantile(early, measure, share) or 0.0 for share in np.linspace(0, 1, 21)]
        known, told = (steps, float(early["n"])), _("The training's are not known: compared with the baseline.")
    if known is None or late["n"] < LEAST:
        return []
    quantiles, count = known
    edges = group_edges(quantiles)
    if not len(edges):
        return []
    reference = Reference(edges, reference_shares(quantiles, edges), count, told)
    return [_whole(measure, late, reference), _over_time(figures, measure, reference)]


def _whole(measure: str, late: dict[str, Any], reference: Reference) -> Panel:
    """The shares of the period after the baseline beside the expected ones."""
    edges, expected = reference.edges, reference.shares
    found = histogram_shares(bins.EDGES[measure], bins.counts(late, measure), edges)
    index, limit = _held_against(measure, late, reference)
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
        f"{note} {reference.told}".strip(),
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


def _over_time(figures: Figures, measure: str, reference: Reference) -> Panel:
    """The stability index of each bucket with enough photos, and from where on it is a strong shift."""
    index, limit = np.full(len(figures.sums), np.nan), np.full(len(figures.sums), np.nan)
    for place, sums in enumerate(figures.sums):
        if sums.measured[measure]["n"] >= LEAST:
            index[place], limit[place] = _held_against(measure, sums.measured[measure], reference)
    note = _(
        "Population stability index of each point in time, above the dashed line a strong shift. Gaps have fewer than "
        "%(count)d photos: choose weeks or months.",
        count=LEAST,
    )
    title = _("%(measure)s, over time", measure=measure_title(measure))
    lines = [("index", _("Stability index"), index), ("strong", _("Strong from"), limit)]
    counts = [("photos", _("Photos"), np.array([sums.measured[measure]["n"] for sums in figures.sums], np.float64))]
    return lines_panel(
        figures, f"stability-{measure}", title, f"{note} {reference.told}".strip(), "number", lines, counts
    )


def _held_against(measure: str, measured: dict[str, Any], reference: Reference) -> tuple[float, float]:
    """The stability index of a histogram, and from where on that of so many photos is strong."""
    found = histogram_shares(bins.EDGES[measure], bins.counts(measured, measure), reference.edges)
    limit = stability_limit(len(reference.shares), measured["n"], reference.count)
    return stability_index(reference.shares, found, measured["n"]), limit
