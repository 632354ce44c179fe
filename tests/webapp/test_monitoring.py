"""Numbers on requests, logs as JSON lines, metrics and who may read them."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from webapp import request_log
from webapp.config import MEGABYTE, PROJECT_FOLDER, Config

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, metrics=True, max_upload_mb=1)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the application logs as JSON from here on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request_log.JsonFormatter())
    logger = logging.getLogger("webapp")
    before = logger.level, list(logger.handlers)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]


def samples(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = client.get("/metrics", environ_base=LOCAL)
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_a_request_has_a_number(client: FlaskClient) -> None:
    first, second = client.get("/nowhere"), client.get("/healthz")
    number = first.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", number)
    assert number in first.text
    assert second.headers["X-Request-ID"] != number


def test_only_a_proxy_of_ours_gives_numbers(client: FlaskClient, config: Config,
                                            make_app: Callable[[Config], Flask]) -> None:  # fmt: skip
    sent = {"X-Request-ID": "from-outside-1"}
    assert client.get("/healthz", headers=sent).headers["X-Request-ID"] != "from-outside-1"
    behind = make_app(replace(config, trusted_proxies=1)).test_client()
    assert behind.get("/healthz", headers=sent).headers["X-Request-ID"] == "from-outside-1"
    odd = {"X-Request-ID": "<script>"}
    assert behind.get("/healthz", headers=odd).headers["X-Request-ID"] != "<script>"


def test_each_request_is_a_line_that_tells_nothing_about_the_person(
    lines: Callable[[], list[dict[str, Any]]], config: Config, make_app: Callable[[Config], Flask],
    photo: Callable[..., bytes],
) -> None:  # fmt: skip
    client = make_app(replace(config, log_format="json")).test_client()
    response = client.post(
        "/api/v1/screenings",
        data={"consent": "true", "photos": [(io.BytesIO(photo("mel")), "passport-of-anna.jpg")]},
        environ_base={"REMOTE_ADDR": "192.0.2.77"},
    )
    token = response.get_json()["id"]
    client.get(f"/results/{token}?next=secret")
    requests = [line for line in lines() if line["message"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/api/v1/screenings", 201),
        ("GET", "/results/<token>", 200),
    ]
    assert requests[0]["request_id"] == response.headers["X-Request-ID"]
    assert requests[0]["model"] == "tiny@1"
    assert requests[0]["seconds"] > 0
    for secret in (token, "passport", "192.0.2.77", "next=secret"):
        assert secret not in json.dumps(lines())


def test_messages_and_exceptions_are_masked(lines: Callable[[], list[dict[str, Any]]]) -> None:
    token = "AbCdEfGhIjKlMnOpQrStUv_1234567890abcdefghij"
    try:
        raise ValueError(f"/results/{token} of 192.0.2.77 and 2001:db8:0:1:2::7")
    except ValueError:
        logging.getLogger("webapp.somewhere").exception("token %s failed", token)
    (line,) = lines()
    assert line["message"] == "token *** failed"
    for secret in (token, "192.0.2.77", "2001:db8"):
        assert secret not in line["exception"]


def test_metrics_count(client: FlaskClient, upload: Callable[..., TestResponse], photo: Callable[..., bytes]) -> None:
    before = samples(client)
    assert upload(photo("mel")).status_code == 303
    assert upload(b"no picture").status_code == 415
    assert upload(photo("mel") + bytes(MEGABYTE)).status_code == 413
    assert upload(bytes(5 * MEGABYTE)).status_code == 413
    after = samples(client)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after.get(key, 0) - before.get(key, 0)

    for stage in ("wait", "decode", "gate", "network"):
        assert grown("lesion_lens_stage_seconds_count", stage=stage) == 1, stage
    for reason in ("not_an_image", "too_many_bytes", "too_large"):  # one file, then the whole request
        assert grown("lesion_lens_refusals_total", reason=reason) == 1, reason
    assert grown("lesion_lens_request_seconds_count", route="/", method="POST", status="303") == 1
    assert after["lesion_lens_queue_length", ()] == 0
    assert after["lesion_lens_pending_screenings", ()] == 0
    models = [labels for (name, labels) in after if name == "lesion_lens_model_info"]
    assert [dict(labels)["version"] for labels in models] == ["1"]
    assert after["lesion_lens_training_runs", (("state", "running"),)] == 0


def test_who_may_read_metrics(client: FlaskClient, config: Config, make_app: Callable[[Config], Flask]) -> None:
    assert client.get("/metrics", environ_base=LOCAL).status_code == 200
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 404
    assert client.get("/metrics", environ_base=LOCAL, headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 404
    off = make_app(replace(config, metrics=False)).test_client()
    assert off.get("/metrics", environ_base=LOCAL).status_code == 404
    guarded = make_app(replace(config, metrics_token="a token of tests")).test_client()
    assert guarded.get("/metrics", environ_base=LOCAL).status_code == 404
    bearer = {"Authorization": "Bearer a token of tests"}
    assert guarded.get("/metrics", headers=bearer, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 200


def test_dashboard_and_alerts_name_metrics_that_exist(client: FlaskClient, upload: Callable[..., TestResponse],
                                                      photo: Callable[..., bytes]) -> None:  # fmt: skip
    upload(photo("mel"))
    upload(b"no picture")
    logging.getLogger("webapp.tests").error("one error, so that the counter has a sample")
    there = {name for name, _ in samples(client)} | {"up"}
    dashboard = json.loads((PROJECT_FOLDER / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    groups = yaml.safe_load((PROJECT_FOLDER / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    asked += [rule["expr"] for rule in rules]
    named = {name for expression in asked for name in re.findall(r"lesion_lens_\w+", expression)}
    assert len(named) >= 8
    assert named <= there, named - there
    for rule in rules:
        assert {"alert", "expr", "labels", "annotations"} <= set(rule), rule
        assert {"summary", "description"} <= set(rule["annotations"])
    documented = (PROJECT_FOLDER / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for name in named:
        assert re.sub(r"_(bucket|count|sum)$", "", name) in documented, name
    assert all(rule["alert"] in documented for rule in rules)
