"""Passwords: how they are hashed, and which are too easy to guess."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from webapp.account.forms import LONGEST_NEW
from webapp.config import Config
from webapp.i18n import gettext as _

# argon2id, RFC 9106's second recommendation; OWASP's minimum is 19 MiB, 2 rounds, 1 lane. Hashes that were made with
# other costs are made anew at the next log-in.
HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
# Each hash takes 64 MB and all cores: so many at once in a process, whoever else comes waits for a moment.
_HASHING = threading.BoundedSemaphore(2)
# Of zxcvbn's scores 0 to 4: "safely unguessable", more than 10^8 guesses at an offline hash that is slow.
LEAST_SCORE = 3
# The estimate's cost grows with the length; what is good this far is good.
ESTIMATED_LENGTH = 72
# What somebody would try first here.
LOCAL_WORDS = ("lesion", "lens", "lesionlens", "skin", "melanoma", "dermatology", "screening", "admin", "reviewer")
ONE_TIME_LENGTH = 20
ONE_TIME_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def hash_password(password: str) -> str:
    """The argon2id hash of a password."""
    with _HASHING:
        return HASHER.hash(password)


def matches(known: str, password: str) -> bool:
    """Whether a password is the one that was hashed."""
    try:
        with _HASHING:
            return HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def nobody() -> str:
    """The hash that is checked where there is no account, so that a wrong name takes as long as a wrong password."""
    return HASHER.hash("no account has this password")


def one_time_password() -> str:
    """A random password of 100 bits, to be told to somebody who changes it at once."""
    letters = [secrets.choice(ONE_TIME_ALPHABET) for _ in range(ONE_TIME_LENGTH)]
    return "-".join("".join(letters[start : start + 5]) for start in range(0, ONE_TIME_LENGTH, 5))


def weakness(password: str, name: str, config: Config) -> str | None:
    """Why a password cannot be used, as a sentence; None where it can.

    Besides its length counts how soon it would be guessed: common and leaked passwords, words, names, dates, keyboard
    patterns and the account's own name are tried by zxcvbn (Wheeler, USENIX Security 2016), without any network.
    """
    if not config.password_min_length <= len(password) <= LONGEST_NEW:
        return _(
            "The password must have %(least)d to %(most)d characters.",
            least=config.password_min_length,
            most=LONGEST_NEW,
        )
    estimate = zxcvbn(password[:ESTIMATED_LENGTH], user_inputs=[name, *LOCAL_WORDS])
    if estimate["score"] < LEAST_SCORE:
        return _(
            "This password would soon be guessed: it is common, or made of few words, names, dates or patterns. "
            "Four or more unrelated words make a good one."
        )
    return None
