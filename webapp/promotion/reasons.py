"""What speaks against a promotion, in sentences. Codes are those of ml.promotion and ml.challenge."""

from collections.abc import Mapping
from typing import Any

from webapp.i18n import fixed
from webapp.i18n import gettext as _


def sentence(code: str, numbers: Mapping[str, Any]) -> str:
    """A reason or a note in the reader's language, with its numbers."""
    figures: Mapping[str, Any] = numbers.get("figures", {})
    margin, needed = points(numbers.get("margin")), numbers.get("needed", {}).get(code, 0)
    kind, _sep, how = code.rpartition("_")
    if code.endswith("_too_few"):
        kind = code.removesuffix("_too_few")
        return _(
            "Too few to tell: the set has %(found)d lesions for “%(what)s”, and at least %(needed)d are needed to rule "
            "out a loss of %(margin)s percentage points.",
            found=figures[kind]["lesions"], what=figure_name(kind), needed=needed, margin=margin,
        )  # fmt: skip
    if how == "lower":
        figure = figures[kind]
        told = _(
            "“%(what)s” may be lower: the difference is %(difference)s percentage points and could, with 95 %% "
            "certainty, be %(low)s; the limit is %(margin)s.",
            what=figure_name(kind), difference=points(figure["difference"]), low=points(figure["low"]),
            margin="-" + margin,
        )  # fmt: skip
        if needed:
            told += " " + _("About %(needed)d lesions could tell for certain.", needed=needed)
        return told
    calibration: Mapping[str, Any] = numbers.get("calibration", {})
    refused: Mapping[str, Any] = figures.get("refused", {})
    cleared: Mapping[str, Any] = figures.get("cleared", {})
    sentences = {
        "calibration_broken": lambda: _(
            "Its percentages cannot be believed: they are off by %(error)s percentage points on average, of which "
            "chance explains %(chance)s.",
            error=points(calibration.get("challenger")), chance=points(calibration.get("by_chance")),
        ),
        "calibration_worse": lambda: _(
            "Its percentages are worse: off by %(error)s percentage points on average, instead of %(before)s.",
            error=points(calibration.get("challenger")), before=points(calibration.get("champion")),
        ),
        "refuses_more": lambda: _(
            "It declines far more photos: %(after)s %% instead of %(before)s %%.",
            after=points(refused.get("challenger")), before=points(refused.get("champion")),
        ),
        "alarms_more": lambda: _(
            "It raises far more false alarms: %(after)s %% of harmless lesions go without one, instead of "
            "%(before)s %%.",
            after=points(cleared.get("challenger")), before=points(cleared.get("champion")),
        ),
        "other_classes": lambda: _("It knows other classes than the model that answers, so it cannot take its place."),
        "set_of_other_classes": lambda: _("The promotion set was prepared for other classes."),
        "gate_accepts_more": lambda: _(
            "It answers photos that the model in its place refuses: ordinary photos of skin, or photos of no skin at "
            "all. Its check was never shown any. Train it again with GATE_PICTURES set, or give it another check with "
            "“flask gate refit”."
        ),
        "champion_has_met_them": lambda: _(
            "The model that answers learnt from some of these photos, so that the comparison would favour it. Another "
            "promotion set is needed."
        ),
        "challenger_has_met_them": lambda: _(
            "The challenger learnt from some of these photos, so that the comparison would favour it."
        ),
        "not_compared": lambda: _("The two models were not compared."),
        "champion_may_have_met_them": lambda: _(
            "Whether the model that answers learnt from these photos is not known: it was made before that was kept."
        ),
        "challenger_may_have_met_them": lambda: _(
            "Whether the challenger learnt from these photos is not known: it was made before that was kept."
        ),
    }  # fmt: skip
    return sentences[code]() if code in sentences else code


def figure_name(code: str) -> str:
    """What a figure of the comparison measures."""
    names = {
        "sensitivity": _("Malignant lesions told to be malignant"),
        "melanoma": _("Melanomas told to be malignant"),
        "examined": _("Malignant lesions told to be looked at"),
        "cleared": _("Harmless lesions without a false alarm"),
        "refused": _("Photos declined"),
    }
    return names.get(code, code)


def points(share: float | None) -> str:
    """A share in hundredths with one decimal, such as 8.0."""
    return "-" if share is None else fixed(100 * share, 1)
