"""Why a result has its status and names its class, in plain words."""

from ml.labels import Label
from webapp.i18n import gettext as _
from webapp.i18n import percent


def risk_sentence(risk: float, thresholds: dict[str, float] | None) -> str:
    """The malignant risk in words, beside the levels that decide the status."""
    share = percent(risk)
    if thresholds is None:
        return _("Together, the malignant classes get %(risk)s.", risk=share)
    upper, lower = percent(thresholds["malignant"]), percent(thresholds["uncertain"])
    if risk >= thresholds["malignant"]:
        return _(
            "Together, the malignant classes get %(risk)s. From %(upper)s on, a result counts as possibly malignant.",
            risk=share,
            upper=upper,
        )
    if risk >= thresholds["uncertain"]:
        return _(
            "Together, the malignant classes get %(risk)s: less than the %(upper)s from which a result counts as "
            "possibly malignant, but not below the %(lower)s under which it counts as probably benign.",
            risk=share,
            upper=upper,
            lower=lower,
        )
    return _(
        "Together, the malignant classes get %(risk)s. Below %(lower)s, a result counts as probably benign.",
        risk=share,
        lower=lower,
    )


def is_more_cautious(status: str, risk: float, thresholds: dict[str, float] | None) -> bool:
    """Whether the status is more severe than the malignant risk alone would make it (see ml.screen)."""
    if thresholds is None:
        return False
    by_risk = "malignant" if risk >= thresholds["malignant"] else "uncertain" if risk >= thresholds["uncertain"] else ""
    return status in ("malignant", "uncertain") and status != by_risk


def beyond_named(status: str, label: Label | None, risk: float | None) -> str:
    """Why the status is not that of the named class; empty where it is, or where the malignant risk tells why."""
    if label is None or status == label.status or (risk is not None and status != "infectious"):
        return ""
    if status == "infectious":
        return _(
            "The class named here is not contagious. Together, though, the contagious classes are as likely as all the "
            "others, or one of the photos alone looks contagious."
        )
    if status == "uncertain":
        return _(
            "The class named here fits best, but is not likely enough for a clear statement. Or one of the photos "
            "alone was not clear enough."
        )
    return _("One of the photos alone looks less harmless than all of them together, and the status goes by that one.")


def is_named_for_rarity(predicted: str, probabilities: dict[str, float]) -> bool:
    """Whether a rarer class is named although another is more probable (see ml.calibration.named_class)."""
    return predicted != max(probabilities, key=lambda code: probabilities[code])
