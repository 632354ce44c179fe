"""The figures of an evaluation that a terminal shows, in their order."""

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "malignant_auroc": "malignant: AUROC",
    "malignant_sensitivity": "malignant: sensitivity",
    "malignant_specificity": "malignant: specificity",
    "status_malignant_sensitivity": "status malignant: sensitivity",
    "status_malignant_specificity": "status malignant: specificity",
    "status_malignant_or_uncertain_sensitivity": "status malignant or uncertain: sensitivity",
}
