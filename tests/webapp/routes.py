"""All addresses of the application, filled in, so that a test walks new ones too."""

from collections.abc import Iterator, Mapping

from flask import Flask
from werkzeug.routing import BuildError, Rule


def addresses(app: Flask, values: Mapping[str, object], method: str) -> Iterator[tuple[Rule, str]]:
    """Each rule that takes `method`, with its address; `values` by the name of the argument, "1" for any other."""
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            if method not in (rule.methods or set()):
                continue
            filled = {name: values.get(name, 1) for name in rule.arguments}
            try:
                yield rule, adapter.build(rule.endpoint, filled, method=method)
            except (BuildError, ValueError):  # a value that this argument's converter never lets through
                continue
