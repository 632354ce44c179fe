"""Champion and challenger on a promotion set, one way and both."""

from pathlib import Path
from typing import Any

from ml.bundle import Bundle
from ml.challenge import challenge, challenge_both_ways
from tests.promotion import MARGIN


def test_both_ways_say_what_each_way_says(tiny_bundle: Bundle, weak_bundle: Bundle, promotion_set: Path) -> None:
    def without_time(found: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in found.items() if name != "date"}

    forward, back = challenge_both_ways(tiny_bundle, weak_bundle, promotion_set, MARGIN)
    assert without_time(forward) == without_time(challenge(tiny_bundle, weak_bundle, promotion_set, MARGIN))
    assert without_time(back) == without_time(challenge(weak_bundle, tiny_bundle, promotion_set, MARGIN))
    assert not forward["passes"]
    lost, won = (found["figures"]["sensitivity"]["difference"] for found in (forward, back))
    assert lost == -won < 0
