"""What the states of runs and lengths of time are called."""

from webapp.i18n import gettext as _
from webapp.models.training_run import Kind, RunState, TrainingRun

TONES = {
    RunState.RUNNING: "running",
    RunState.STOPPING: "uncertain",
    RunState.DONE: "benign",
    RunState.FAILED: "malignant",
}


def state(code: str) -> str:
    """The state of a run."""
    return {
        RunState.QUEUED: _("Queued"),
        RunState.RUNNING: _("Running"),
        RunState.STOPPING: _("Stopping"),
        RunState.STOPPED: _("Stopped"),
        RunState.DONE: _("Done"),
        RunState.FAILED: _("Failed"),
        RunState.INTERRUPTED: _("Interrupted"),
    }[RunState(code)]


def tone(code: str) -> str:
    """Which of the colours of badges a state has."""
    return TONES.get(RunState(code), "pending")


def kind(code: str) -> str:
    """What a run computes."""
    return {Kind.TRAIN: _("Training"), Kind.PROMOTION: _("Comparison before promotion")}[Kind(code)]


def phase(run: TrainingRun) -> str:
    """What an active run is doing, in a sentence."""
    progress = run.progress or {}
    step, steps = progress.get("step", 0), progress.get("steps", 0)
    if run.kind == Kind.PROMOTION:
        return _("The pictures are being answered.")
    if progress.get("phase") == "finishing":
        return _("Calibration, thresholds and gate are being fitted, and the model is written.")
    if progress.get("phase") == "training" and steps:
        return _(
            "Epoch %(epoch)d of at most %(epochs)d, batch %(step)d of %(steps)d.",
            epoch=progress.get("epoch", 1),
            epochs=run.epochs,
            step=step + 1,
            steps=steps,
        )
    return _("Pictures and network are being prepared.")


def duration(seconds: float) -> str:
    """A length of time, coarse as estimates are."""
    if seconds < 90:
        return _("%(number)d s", number=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 90:
        return _("%(number)d min", number=minutes)
    return _("%(hours)d h %(minutes)d min", hours=minutes // 60, minutes=minutes % 60)
