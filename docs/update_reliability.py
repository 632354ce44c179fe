"""Write what the benchmarks of reliability measured, in `docs/reliability/*.json`, into docs/reliability.md.

python docs/update_reliability.py            rewrite docs/reliability.md
python docs/update_reliability.py --check    exit with 1 where it is out of step
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "docs")]

from update_figures import main  # noqa: E402

MEASURED = PROJECT / "docs" / "reliability"
NOT_YET = "not measured yet"
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A target, the command that measures it, how its result is told, and what happens where it is not met."""

    target: str
    file: str
    command: str
    tell: Callable[[Found], str]
    otherwise: str
    part: str = ""


def kills(found: Found) -> str:
    """The run of `benchmarks/kill_uploads.py` in words."""
    done, integrity = found["kills"], ", ".join(found["integrity"])
    return (
        f"{sum(done.values())} kills ({done['workers']} of workers, {done['masters']} of the master) "
        f"in {found['seconds']:,} s, {found['workers']} workers, {found['clients']} clients: "
        f"{found['acknowledged']:,} acknowledged, {found['acknowledged_lost']} lost, "
        f"{found['answers_changed']} answers changed, {found['rows_without_photo']} rows without photo, "
        f"{found['half_photos_served']} of {found['photos_looked_at']:,} photos served in part; "
        f"{found['strays']} stray files, {found['strays_left']} left by the sweep; integrity check {integrity}"
    )


def writers(found: Found) -> str:
    """The run of `benchmarks/sqlite_writers.py` in words."""
    return (
        f"SQLite {found['sqlite']}, journal {found['journal']}: {found['processes']} processes, "
        f"{found['transactions']:,} write transactions, {found['per_second']:.0f} a second, "
        f"95 % within {found['p95_seconds']:.3f} s, longest {found['longest_seconds']:.2f} s, "
        f"{found['refused']} turned away, {found['lost']} lost; integrity check {', '.join(found['integrity'])}"
    )


def bad_files(found: Found) -> str:
    """The run of `benchmarks/bad_files.py` in words."""
    statuses = ", ".join(f"{count:,} x {code}" for code, count in sorted(found["statuses"].items()))
    return (
        f"{found['files']:,} files: {found['pictures']:,} read as pictures, {found['refused']:,} refused ({statuses}), "
        f"{found['faults']} answered wrongly, {found['workers_lost']} workers lost; "
        f"slowest {found['slowest_seconds']:.1f} s while {found['slow']} took over 5 s beside other work, "
        f"slowest of those alone {found['slowest_alone_seconds']:.1f} s; "
        f"a decoder's peak {found['peak_megabytes']:.0f} MB"
    )


def pool(found: Found) -> str:
    """The run of `benchmarks/decoder_pool.py` in words."""
    told = [
        f"{name} photo {found[name]['in_process']:.1f} ms in the process, {found[name]['pool']:.1f} ms in the pool, "
        f"median difference {found[name]['difference']:.1f} ms"
        for name in ("phone", "dermatoscopic")
    ]
    return "; ".join(told) + f" (load {found['load']})"


def statuses(found: Found) -> str:
    """How often each status was answered, in words."""
    return ", ".join(f"{number:,} times {code}" for code, number in found["statuses"].items())


def steady(found: Found) -> str:
    """The steady part of `benchmarks/load.py` in words."""
    return (
        f"{found['clients']} clients for {found['seconds']} s on {found['cores']} cores, model {found['model']}: "
        f"{statuses(found)}; 95 % answered within {found['p95_seconds']} s, longest {found['longest_seconds']} s; "
        f"memory at most {found['memory_mb']:,} MB, growth in the last half {100 * found['growth_last_half']:.1f} %"
    )


def crowd(found: Found) -> str:
    """The crowd of `benchmarks/load.py` in words."""
    return (
        f"{found['clients']} clients for {found['seconds']} s: {statuses(found)}, "
        f"{found['without_retry_after']} of them without Retry-After; {found['answered']:,} taken, "
        f"95 % answered within {found['p95_seconds']} s, longest {found['longest_seconds']} s"
    )


def slow(found: Found) -> str:
    """The slow clients of `benchmarks/load.py` in words."""
    return (
        f"{found['clients']} slow clients for {found['seconds']} s: `/healthz` asked {found['health_asked']:,} times, "
        f"99 % within {found['health_p99_seconds']} s, longest {found['health_longest_seconds']} s"
    )


def killed_trainings(found: Found) -> str:
    """The run of `benchmarks/kill_training.py` in words."""
    hits = ", ".join(f"{count} in {phase}" for phase, count in sorted(found["hits"].items()))
    return (
        f"{found['kills']} kills of a run of {found['epochs']} epochs ({hits}; {found['with_whole_epochs']} of them "
        f"with a checkpoint to go on from), {found['runs']} runs brought to their end, {found['different']} different "
        "from the unbroken run in weights, gate, card or history"
    )


def damaged(found: Found) -> str:
    """The run of `benchmarks/damaged_models.py` in words."""
    return (
        f"{found['refused']} of {found['damages']} damaged copies refused with one sentence, "
        f"{len(found['by_kind'])} kinds of damage"
    )


def locked(found: Found) -> str:
    """The run of `benchmarks/locked.py` in words."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in found["kinds"].items())
    return (
        f"{found['clients']} clients ({kinds}), locked for {found['seconds']:.0f} s: {statuses(found)}, longest "
        f"{found['longest_seconds']} s; {sum(found['faults'].values())} answered otherwise; `/healthz` asked "
        f"{found['health_asked']} times, longest {found['health_longest_seconds']} s; {found['recovered']} clients "
        f"back after {found['recovery_seconds']} s, {found['strays']} stray photos, {found['lost']} lost; "
        f"integrity check {', '.join(found['integrity'])}"
    )


def fuzzed(found: Found) -> str:
    """The run of `benchmarks/fuzz.py` in words."""
    requests, targets, faults = found["requests"], found["targets"], found["faults"]
    what = ", ".join(
        f"{requests[part]:,} requests to {targets[part]} {name}"
        for part, name in (("api", "operations of the API"), ("forms", "forms"), ("addresses", "pages"))
    )
    names = ["somebody between password and code" if one == "half" else one for one in found["people"]]
    people = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    told = "; ".join(faults) if faults else "none of 500 or more, none that tells of the inside"
    return f"{what}, as {people}, {found['examples']} each (seed {found['seed']}): {told}"


LOAD = "python benchmarks/load.py --all --out docs/reliability/load.json"
ROWS = (
    Row(
        "20,000 bad files through the real upload: no 5xx, no worker lost, none over 5 s or 512 MB",
        "bad_files.json",
        "python benchmarks/bad_files.py --count 20000 --state runs/bad-files --out docs/reliability/bad_files.json",
        bad_files,
        "the file is refused with a sentence; a decoder that dies or takes too long costs that file alone",
    ),
    Row(
        "Odd fields, bodies, arguments and queries to every form, page and operation of the API, as everybody who may "
        "be logged in: no 500, nothing internal in any error",
        "fuzz.json",
        "python benchmarks/fuzz.py --examples 8 --seed 1 --out docs/reliability/fuzz.json",
        fuzzed,
        "one error page, or one problem in JSON, that says no more than the request's number",
    ),
    Row(
        "Decoding in a process of its own costs at most 5 ms a photo",
        "decoder_pool.json",
        "python benchmarks/decoder_pool.py --out docs/reliability/decoder_pool.json",
        pool,
        "where no decoder can be started, uploads are answered 503; nothing is decoded in the server itself",
    ),
    Row(
        "500 `kill -9` during uploads: nothing acknowledged is lost, no row without its photo, no half file served",
        "kill_uploads.json",
        "python benchmarks/kill_uploads.py --kills 500 --preload --out docs/reliability/kill_uploads.json",
        kills,
        "the client gets no answer and sends again; `Idempotency-Key` keeps the API from doing it twice",
    ),
    Row(
        "50 `kill -9` during training: each time it goes on from a valid checkpoint, and ends as an unbroken run does, "
        "to the bit",
        "kill_training.json",
        "python benchmarks/kill_training.py --kills 50 --out docs/reliability/kill_training.json",
        killed_trainings,
        "a checkpoint carries its SHA-256, and the one before is kept; before the first one a run begins anew",
    ),
    Row(
        "100 damaged models (missing, flipped, truncated, not numbers, other shapes, other classes; all files of a "
        "bundle): none answers",
        "damaged_models.json",
        "python benchmarks/damaged_models.py --damages 100 --out docs/reliability/damaged_models.json",
        damaged,
        "the model before goes on answering, and `/readyz` says why (`tests/webapp/test_damaged_promoted.py`)",
    ),
    Row(
        "SQLite takes four writing processes: none turned away, nothing lost",
        "sqlite_writers.json",
        "python benchmarks/sqlite_writers.py --out docs/reliability/sqlite_writers.json",
        writers,
        "a writer that waits longer than 8 s is answered 503 with Retry-After",
    ),
    Row(
        "Database locked for 20 s under 20 clients: 503 with a sentence and Retry-After, `/healthz` within 1 s, all "
        "back unaided, integrity check clean",
        "locked.json",
        "python benchmarks/locked.py --out docs/reliability/locked.json",
        locked,
        "photos whose row could not be committed are removed at once; whoever has a page sends again",
    ),
    Row(
        "16 clients for 10 minutes on 2 cores with the shipped model: no answer of 500 or more, memory flat (at most "
        "5 % growth in the last half)",
        "load.json",
        LOAD,
        steady,
        "see the next row",
        part="steady",
    ),
    Row(
        "64 clients: only 2xx, or 503 with Retry-After; whoever is taken is answered within 10 s",
        "load.json",
        LOAD,
        crowd,
        "503, and the page sends the photos again when there should be room",
        part="crowd",
    ),
    Row(
        "200 slow clients behind `deploy/nginx.conf`: 99 % of health checks within 0.5 s",
        "load.json",
        LOAD,
        slow,
        "slow clients wait in nginx and hold no thread of the application",
        part="slow",
    ),
)


def told(row: Row, found: Found | None) -> str:
    """What was found in words, and whether the target was met."""
    if found is None:
        return NOT_YET
    words = f"the run broke off ({found['broke_off']})" if "broke_off" in found else row.tell(found)
    return f"**{'passed' if found['passed'] else 'not met'}**: {words}"


def table() -> str:
    """The rows as a Markdown table."""
    lines = ["| Target | Command | Result | What happens on failure |", "|---|---|---|---|"]
    for row in ROWS:
        path = MEASURED / row.file
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        if found is not None and row.part:
            found = found.get(row.part)
        lines.append(f"| {row.target} | `{row.command}` | {told(row, found)} | {row.otherwise} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main({PROJECT / "docs" / "reliability.md": {"measured": table()}}, sys.argv[1:]))
