"""What a Prometheus server may read at `/metrics`: latencies, queue, refusals, errors, models, training.

Counters are kept by prometheus_client: in memory where there is one process; under gunicorn with METRICS on, in files
that all workers share (gunicorn.conf.py), so that every worker tells the sum. What the database and the models know is
read when asked for. No label holds anything about a person.
"""

import hmac
import ipaddress
import logging
import os
import time
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, abort, current_app, g, has_request_context, request
from flask.typing import ResponseReturnValue
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from ml.screening import Screening
from webapp.config import Config
from webapp.extensions import db
from webapp.models.screening import ScreeningRow, State
from webapp.models.training_run import RunState, TrainingRun

blueprint = Blueprint("metrics", __name__)

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Refusals that show in the status of an answer alone.
REFUSED_WITH = {413: "too_large", 429: "too_many_requests", 507: "disk_full"}

REQUESTS = Histogram(
    "lesion_lens_request_seconds",
    "Time from a request's arrival in a worker's thread to its answer.",
    ("route", "method", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60),
)
STAGES = Histogram(
    "lesion_lens_stage_seconds",
    "Time that an answer's stages took: wait (for its turn), decode, gate, network.",
    ("stage",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ANSWERS = Counter("lesion_lens_answers_total", "Answers by model and status.", ("model", "version", "status"))
REFUSALS = Counter("lesion_lens_refusals_total", "Uploads and requests that were refused, by reason.", ("reason",))
ERRORS = Counter("lesion_lens_errors_total", "Errors in the log, by the part that wrote them.", ("logger",))
QUEUE = Gauge("lesion_lens_queue_length", "Uploads being decoded or answered.", multiprocess_mode="livesum")
QUEUE_PLACES = Gauge("lesion_lens_queue_places", "How many uploads may be in the queue.", multiprocess_mode="livesum")


class ErrorCounter(logging.Handler):
    """Counts what is logged as an error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Count one record."""
        ERRORS.labels(record.name).inc()


COUNT_ERRORS = ErrorCounter(logging.ERROR)


def answered(answer: Screening) -> None:
    """Count an answer and its stages, and name its model in the request's log line."""
    ANSWERS.labels(answer.model["name"], answer.model["version"], answer.status).inc()
    for stage, seconds in answer.seconds.items():
        STAGES.labels(stage).observe(seconds)
    if answer.gate.verdict != "usable":
        REFUSALS.labels(answer.gate.verdict).inc()
    if has_request_context():
        g.model_version = f"{answer.model['name']}@{answer.model['version']}"


def refused(reason: str) -> None:
    """Count a refusal by its reason, and not by the status of the answer besides."""
    REFUSALS.labels(reason).inc()
    if has_request_context():
        g.refused = True


def route() -> str:
    """The pattern of this request's address, such as `/results/<token>`: never the address itself."""
    return request.url_rule.rule if request.url_rule else "(none)"


def init_metrics(app: Flask) -> None:
    """Time every request, and count errors in the log. To be called before anything else that looks at requests."""
    for name in ("webapp", "ml"):
        if COUNT_ERRORS not in logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(COUNT_ERRORS)

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        if "began" in g and request.endpoint != "metrics.metrics":
            status = response.status_code
            REQUESTS.labels(route(), request.method, str(status)).observe(time.perf_counter() - g.began)
            if status in REFUSED_WITH and not g.get("refused"):
                REFUSALS.labels(REFUSED_WITH[status]).inc()
        return response


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """All figures in Prometheus's text format; 404 for whoever may not read them, as if there were nothing."""
    if not _may_read():
        abort(404)
    registry = REGISTRY
    if SHARED_FOLDER in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    now = CollectorRegistry()
    now.register(_Now())
    return Response(generate_latest(registry) + generate_latest(now), content_type=CONTENT_TYPE)


def _may_read() -> bool:
    config: Config = current_app.config["LENS"]
    if not config.metrics:
        return False
    if config.metrics_token:
        sent = request.headers.get("Authorization", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {config.metrics_token}".encode())
    if "X-Forwarded-For" in request.headers:
        return False  # a proxy hands on somebody's request
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


class _Now:
    """What is read at the moment of asking: waiting rows, the models that answer, training runs."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, those that can be read."""
        from webapp.inference import get_models

        models = GaugeMetricFamily(
            "lesion_lens_model_info", "The models that answer, 1 each.", labels=("label_set", "model", "version")
        )
        for label_set, name, version in get_models().stated():
            models.add_metric((label_set, name, version), 1)
        yield models
        up = GaugeMetricFamily("lesion_lens_database_up", "1 where the database answers.")
        try:
            waiting = select(func.count()).where(ScreeningRow.state == State.PENDING, ScreeningRow.deleted_at.is_(None))
            pending = db.session.scalar(waiting) or 0
            runs = _training_runs()
        except SQLAlchemyError:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield GaugeMetricFamily("lesion_lens_pending_screenings", "Rows that wait for an answer.", value=pending)
        training = GaugeMetricFamily("lesion_lens_training_runs", "Training runs by state.", labels=("state",))
        for state, number in runs.items():
            training.add_metric((state,), number)
        yield training


def _training_runs() -> dict[str, int]:
    """Training runs by their state, each state there is."""
    counted = db.session.execute(select(TrainingRun.state, func.count()).group_by(TrainingRun.state))
    return dict.fromkeys(map(str, RunState), 0) | {state: number for state, number in counted}
