"""docs/security.md: every requirement of ASVS 4.0.3 up to level 2 has a line, and every line evidence that exists."""

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STATES = ("met", "not met", "does not apply")
LINE = re.compile(r"^\| ([0-9., ]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
REFERENCE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+)(?:::(\w+))?`")
SHORTEST_REASON = 7

# The requirements of levels 1 and 2 (numbers that the standard has deleted, and those of level 3, are left out).
SECTIONS = {
    "1.1": "1-7", "1.2": "1-4", "1.4": "1,4,5", "1.5": "1-4", "1.6": "1-4", "1.7": "1-2", "1.8": "1-2", "1.9": "1-2",
    "1.10": "1", "1.11": "1-2", "1.12": "2", "1.14": "1-6",
    "2.1": "1-12", "2.2": "1-3", "2.3": "1-3", "2.4": "1-5", "2.5": "1-7", "2.6": "1-3", "2.7": "1-6", "2.8": "1-7",
    "2.9": "1-3", "2.10": "1-4",
    "3.1": "1", "3.2": "1-4", "3.3": "1-4", "3.4": "1-5", "3.5": "1-3", "3.7": "1",
    "4.1": "1,2,3,5", "4.2": "1-2", "4.3": "1-3",
    "5.1": "1-5", "5.2": "1-8", "5.3": "1-10", "5.4": "1-3", "5.5": "1-4",
    "6.1": "1-3", "6.2": "1-6", "6.3": "1-2", "6.4": "1-2",
    "7.1": "1-4", "7.2": "1-2", "7.3": "1,3,4", "7.4": "1-3",
    "8.1": "1-4", "8.2": "1-3", "8.3": "1-8",
    "9.1": "1-3", "9.2": "1-4",
    "10.2": "1-2", "10.3": "1-3",
    "11.1": "1-8",
    "12.1": "1-3", "12.2": "1", "12.3": "1-6", "12.4": "1-2", "12.5": "1-2", "12.6": "1",
    "13.1": "1,3,4,5", "13.2": "1,2,3,5,6", "13.3": "1-2", "13.4": "1-2",
    "14.1": "1-4", "14.2": "1-6", "14.3": "2,3", "14.4": "1-7", "14.5": "1-4",
}  # fmt: skip


def required() -> list[str]:
    """The numbers, in the order of the standard."""
    numbers = []
    for section, listed in SECTIONS.items():
        first, dash, last = listed.partition("-")
        wanted = range(int(first), int(last) + 1) if dash else map(int, listed.split(","))
        numbers += [f"{section}.{number}" for number in wanted]
    return numbers


def lines() -> list[tuple[list[str], str, str]]:
    """Numbers, state and evidence of each line."""
    text = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")
    return [(found[0].split(", "), found[1].strip(), found[2].strip()) for found in LINE.findall(text)]


def test_every_requirement_has_its_line_once() -> None:
    listed = [number for numbers, _state, _evidence in lines() for number in numbers]
    assert sorted(listed) == sorted(required())


def test_no_line_lacks_evidence() -> None:
    bare = []
    for numbers, state, evidence in lines():
        assert state in STATES, numbers
        named = [path for path, _test in REFERENCE.findall(evidence) if (PROJECT / path).is_file()]
        if (state == "met" and not named) or len(evidence) < SHORTEST_REASON:
            bare.append(f"{', '.join(numbers)}: {evidence}")
    assert not bare


def test_what_is_named_exists() -> None:
    missing = []
    for numbers, _state, evidence in lines():
        for path, test in REFERENCE.findall(evidence):
            if "/" not in path and not test and not (PROJECT / path).exists():
                continue  # a word of code and no file
            if not (PROJECT / path).is_file() or (test and test not in functions(PROJECT / path)):
                missing.append(f"{', '.join(numbers)}: {path}{'::' + test if test else ''}")
    assert not missing


def functions(path: Path) -> set[str]:
    """Names of the functions in a Python file, those of classes included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
