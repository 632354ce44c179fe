"""Send odd input to every form, every address and every operation of the API, as everybody who may be logged in.

    python benchmarks/fuzz.py --examples 8 --seed 1 --out docs/reliability/fuzz.json

The application runs in this process, with a demonstration in it. Schemathesis makes requests from the application's own
OpenAPI document, those that it allows and those that it forbids, and looks whether the answers keep to it. Hypothesis
spoils the forms that the pages show (some fields odd, missing or twice, some bodies no form at all) and asks for
addresses with odd arguments and queries, each as a visitor, between password and code, and as viewer, reviewer and
admin. After an admin's forms all pages are read again, with what was kept of them. A fault is an answer of 500 or more,
and any error that tells of the inside. The same seed sends the same.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

import schemathesis  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.core.failures import Failure, FailureGroup  # noqa: E402
from schemathesis.core.result import Ok  # noqa: E402
from werkzeug.routing import BuildError, Rule  # noqa: E402

from benchmarks.fuzz_site import PEOPLE, Form, Site, demonstration  # noqa: E402
from benchmarks.odd_input import BODIES, FIELDS, IDS, INTERNAL, QUERIES, TYPES, VALUES, quoted  # noqa: E402
from benchmarks.serving import drawn_photo  # noqa: E402
from ml.files import write_json  # noqa: E402
from webapp.api.idempotency import HEADER  # noqa: E402

RESTORE_AFTER = 8
FAULTS_TOLD = 50
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
# 503 is how one says that it is not ready.
LEFT_ALONE = {"static", "health.readyz"}
Operation = schemathesis.APIOperation[Any, Any, Any, Any]


@dataclass
class Findings:
    """What was tried in each part, how it was answered, and what was wrong."""

    targets: "Counter[str]" = field(default_factory=Counter)
    statuses: "dict[str, Counter[int]]" = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, part: str, what: str, status: int, text: str, request: object = "") -> None:
        """Look at an answer. `request` is told on the standard error stream alone, for whoever mends it."""
        self.statuses.setdefault(part, Counter())[status] += 1
        told = INTERNAL.search(text) if status >= 400 else None
        if status >= 500:
            self.fault(f"{what}: {status}", request)
        elif told:
            self.fault(f"{what}: {status} tells {told.group()!r}", request)

    def fault(self, what: str, request: object) -> None:
        """Note what was wrong, each kind once."""
        if what not in self.faults:
            self.faults.append(what)
            print(f"FAULT {what}\n  {request!r}"[:4000], file=sys.stderr, flush=True)


@st.composite
def bodies(draw: st.DrawFn, form: Form) -> tuple[bytes, str]:
    """What is sent in place of a form, and the type that it says it is of."""
    if draw(st.integers(0, 7)) == 0:
        return draw(BODIES), draw(TYPES)
    pairs: list[tuple[str, str]] = []
    for name, offered in form.fields.items():
        way = draw(st.integers(0, 9))
        if way > 0:
            pairs.append((name, draw(VALUES if way < 3 else st.sampled_from(offered))))
        if way == 9:
            pairs.append((name, draw(VALUES)))
    pairs += draw(st.lists(st.tuples(FIELDS, VALUES), max_size=1 if form.fields else 6))
    if not form.files:
        return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs).encode("ascii"), URLENCODED
    parts = [(name, value.encode("utf-8", "surrogatepass"), "") for name, value in pairs]
    contents = st.one_of(st.just(drawn_photo()), st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8\xff"]))
    files = st.tuples(
        st.sampled_from(sorted(form.files)), contents, VALUES.map(lambda name: f'; filename="{name[:90]}"')
    )
    parts += draw(st.lists(files, max_size=4))
    return b"".join(part(*one) for one in parts) + b"--b--\r\n", MULTIPART


def part(name: str, content: bytes, file: str) -> bytes:
    """A field or a file of a form with several parts."""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode("utf-8", "surrogatepass") + content + b"\r\n"


class Browser:
    """One of `PEOPLE`, logged in again where something has ended the session."""

    def __init__(self, site: Site, who: str) -> None:
        self._site, self._who, self._asked = site, who, 0
        self._client: FlaskClient = site.client(who)

    def open(self, address: str, method: str, **request: Any) -> tuple[int, str]:
        """Ask; status and text of the answer."""
        if self._asked % RESTORE_AFTER == 0:
            self.begin_anew()
        self._asked += 1
        answer = self._client.open(address, method=method, buffered=True, **request)
        if self._who not in ("visitor", "half") and answer.headers.get("Location", "").startswith("/login"):
            self.begin_anew()
        readable = (answer.mimetype or "").startswith(("text/", "application/problem"))
        return answer.status_code, answer.text if readable else ""

    def begin_anew(self) -> None:
        """Everything, the session too, is as it was at the beginning."""
        self._site.restore()
        self._client = self._site.client(self._who)


def offered(asked: Sequence[tuple[str, str]]) -> "list[st.SearchStrategy[tuple[str, str]]]":
    """Pairs of a query as pages link to them, and their names with odd values."""
    if not asked:
        return []
    return [st.sampled_from(asked), st.tuples(st.sampled_from(sorted({name for name, _value in asked})), VALUES)]


def with_query(address: str, query: Sequence[tuple[str, str]]) -> str:
    """An address with more in its query; what no address could hold is left out."""
    text = "&".join(f"{quoted(name)}={quoted(value[:4000])}" for name, value in query)
    return address + ("&" if "?" in address else "?") + text if text else address


def titles(failure: Failure | FailureGroup) -> list[str]:
    """What Schemathesis calls the faults of an answer."""
    return [failure.title] if isinstance(failure, Failure) else sorted({one.title for one in failure.exceptions})


@dataclass
class Fuzzing:
    """One run: what it is done to, how often, from which seed, as whom, and what was found."""

    site: Site
    examples: int
    number: int
    people: Sequence[str] = PEOPLE
    findings: Findings = field(default_factory=Findings)

    def forms(self, only: str = "") -> None:
        """Every form of the pages, or only that of one endpoint, as everybody."""
        for endpoint, form in self.site.posts():
            if only not in ("", endpoint):
                continue
            self.findings.targets["forms"] += 1
            for who in self.people:
                self.form(endpoint, form, who)
            self.tell(endpoint)
            if form.fields and "admin" in self.people:
                self.read_again(endpoint)

    def form(self, endpoint: str, form: Form, who: str) -> None:
        """One form as somebody."""
        browser = Browser(self.site, who)

        @self.drawn
        @given(body=bodies(form), query=QUERIES)
        def send(body: tuple[bytes, str], query: list[tuple[str, str]]) -> None:
            content, kind = body
            address = with_query(form.address, query if len(query) == 1 else [])
            status, text = browser.open(address, "POST", data=content, headers={"Content-Type": kind} if kind else {})
            self.findings.note("forms", f"POST {endpoint}", status, text, (who, address, kind, content))

        send()

    def read_again(self, endpoint: str) -> None:
        """All pages, with what an admin's last forms have left there."""
        client = self.site.client("admin")
        for address in [known[0] for known in self.site.addresses.values() if known]:
            answer = client.get(address, buffered=True)
            self.findings.note("pages", f"GET {address} after {endpoint}", answer.status_code, "")

    def addresses(self) -> None:
        """Every page with odd arguments and queries, as everybody."""
        for rule in sorted(self.site.app.url_map.iter_rules(), key=lambda rule: rule.endpoint):
            if "GET" in (rule.methods or ()) and rule.endpoint not in LEFT_ALONE:
                self.findings.targets["addresses"] += 1
                for who in self.people:
                    self.address(rule, who)
                self.tell(rule.endpoint)

    def address(self, rule: Rule, who: str) -> None:
        """One page as somebody."""
        adapter, browser, endpoint = self.site.app.url_map.bind("localhost"), Browser(self.site, who), rule.endpoint
        known, asked = self.site.addresses.get(endpoint, []), sorted(self.site.queries.get(endpoint, ()))
        queries = st.lists(st.one_of(QUERIES.filter(bool).map(lambda many: many[0]), *offered(asked)), max_size=5)

        @self.drawn
        @given(odd=st.lists(IDS, min_size=4, max_size=4), real=st.integers(0, 11), query=queries)
        def ask(odd: list[object], real: int, query: list[tuple[str, str]]) -> None:
            if known and real < 8:
                address = known[real % len(known)]
            else:
                try:
                    values = {name: odd[place % 4] for place, name in enumerate(sorted(rule.arguments))}
                    address = adapter.build(endpoint, values, method="GET")
                except (BuildError, ValueError):  # a value that this argument's converter never lets through
                    return
            address = with_query(address, query)
            status, text = browser.open(address, "GET")
            self.findings.note("addresses", f"GET {endpoint}", status, text, (who, address))

        ask()

    def api(self) -> None:
        """Every operation that the API's description has, as it allows and as it forbids."""
        self.site.restore()
        schemathesis.openapi.format("binary", st.sampled_from([drawn_photo(), drawn_photo(3)]))
        described = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", self.site.app)
        for found in described.get_all_operations():
            self.findings.targets["api"] += 1
            if isinstance(found, Ok):
                for mode in GenerationMode:
                    self.operation(found.ok(), mode)
                self.tell(found.ok().label)
            else:
                self.findings.fault("a part of the API's description cannot be read", found)

    def operation(self, operation: Operation, mode: GenerationMode) -> None:
        """One operation in one of the two ways."""
        what, numbers = f"{operation.label} ({mode.value})", itertools.count()

        @self.drawn
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case[Any]) -> None:
            sent = next(numbers)
            if sent % RESTORE_AFTER == 0:
                self.site.restore()
            if mode.is_positive and HEADER in case.headers:
                case.headers[HEADER] = str(uuid.UUID(int=sent))  # well-formed is not enough: each must be new
            if "id" in case.path_parameters and sent % RESTORE_AFTER in (1, 5):  # each once: it may be deleted by then
                case.path_parameters["id"] = self.site.tokens[sent % RESTORE_AFTER // 4]
            response = case.call()
            text = response.content.decode("utf-8", "replace")
            self.findings.note("api", what, response.status_code, text, case.as_curl_command())
            try:
                case.validate_response(response)
            except (Failure, FailureGroup) as failure:
                self.findings.fault(f"{what}: {'; '.join(titles(failure))}", failure)

        try:
            send()
        except Unsatisfiable:
            return  # there is nothing that the description would forbid
        except Exception as error:  # whatever it is, it is a finding
            self.findings.fault(f"{what}: {type(error).__name__}", error)

    def drawn(self, test: Callable[..., None]) -> Callable[..., None]:
        """With so many examples from the seed, without shrinking and without a memory."""
        sized = settings(
            max_examples=self.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        )  # fmt: skip
        return seed(self.number)(sized(test))

    def tell(self, endpoint: str) -> None:
        """How far it is."""
        count = sum(statuses.total() for statuses in self.findings.statuses.values())
        print(f"{endpoint}: {count:,} requests, {len(self.findings.faults)} faults", file=sys.stderr, flush=True)

    def run(self) -> dict[str, Any]:
        """Try everything; what was tried and found."""
        began = time.monotonic()
        for try_part in (self.api, self.forms, self.addresses):
            try_part()
        statuses = self.findings.statuses
        return {
            "seed": self.number,
            "examples": self.examples,
            "people": list(self.people),
            "targets": dict(self.findings.targets),
            "requests": {name: counted.total() for name, counted in statuses.items()},
            "statuses": {name: dict(sorted(counted.items())) for name, counted in statuses.items()},
            "faults": self.findings.faults[:FAULTS_TOLD],
            "seconds": round(time.monotonic() - began),
            "passed": not self.findings.faults,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; the exit status is 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=8, help="of each form, page and operation, for each person")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lesion-lens-fuzz-") as place:
        found = Fuzzing(demonstration(Path(place)), options.examples, options.seed).run()
    print(json.dumps(found, indent=2))
    if options.out:
        write_json(options.out, found)
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
