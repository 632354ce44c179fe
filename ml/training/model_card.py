"""The sentences of a model card that hold for every model trained here."""

LICENCE = (
    "The weights take the terms of the data they were trained on. HAM10000 (Tschandl, Rosendahl, Kittler 2018) is "
    "CC BY-NC 4.0: attribution, no commercial use."
)
INTENDED_USE = (
    "Research and education. Not a medical device: it must not be used to diagnose, to rule out cancer, or to decide "
    "for or against seeing a clinician."
)
LIMITS = (
    "It knows only the classes listed here; anything else is forced into one of them or refused.",
    "Trained on pictures taken through a dermatoscope; ordinary photos of skin are another domain and are refused.",
    "The training pictures show mostly fair skin, mostly from two clinics; figures elsewhere can be lower.",
    "A low risk is no all-clear: some malignant lesions look harmless in a picture.",
)
