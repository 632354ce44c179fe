"""The second factor: time-based codes of an authenticator app (RFC 6238), and recovery codes that stand in for them.

The secret is kept encrypted, recovery codes as keyed hashes; both keys derive from the application's secret key, so
that with another one accounts have to set up their second factor anew (`flask users reset-totp`).
"""

import hashlib
import hmac
import io
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime

import pyotp
import segno
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select

from webapp import audit
from webapp.config import Config
from webapp.extensions import db
from webapp.keyed import keyed
from webapp.models.login import RecoveryCode
from webapp.models.user import Role, User

STEP_SECONDS = 30
# Clocks may differ by a step; RFC 6238 (5.2) advises no more.
STEPS_AROUND = (0, -1, 1)
RECOVERY_CODES = 10
# 16 of 32 characters are 80 bits. Without 0, 1, l and o: codes are read from paper.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 4, 4
ISSUER = "Lesion Lens"


def needed(user: User, config: Config) -> bool:
    """Whether the setting REQUIRE_TOTP wants a second factor of this account."""
    return config.require_totp == "all" or (config.require_totp == "admins" and user.may(Role.ADMIN))


def new_secret() -> str:
    """A random secret of 160 bits, in base 32 as authenticator apps want it."""
    return pyotp.random_base32()


def seal(user: User, secret: str) -> bytes:
    """The secret, encrypted and bound to its account: it opens for no other."""
    return _cipher().encrypt(f"{user.id} {secret}".encode())


def unseal(user: User, sealed: bytes) -> str | None:
    """The secret again; None where it was sealed for another account or with another secret key."""
    try:
        number, _, secret = _cipher().decrypt(sealed).decode().partition(" ")
    except InvalidToken:
        return None
    return secret if number == str(user.id) else None


def picture(user: User, secret: str) -> bytes:
    """The secret as a QR code for authenticator apps, an SVG file."""
    address = pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER)
    buffer = io.BytesIO()
    segno.make(address, error="m", micro=False).save(buffer, kind="svg", scale=6, border=4, dark="#000", light="#fff")
    return buffer.getvalue()


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to, the present one or one beside it; None for a wrong code."""
    present = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.HOTP(secret)  # TOTP is HOTP of the time step
    for step in (max(present + around, 0) for around in STEPS_AROUND):
        if hmac.compare_digest(generator.at(step).encode(), code.encode()):
            return step
    return None


def accept(user: User, code: str, now: datetime) -> bool:
    """Whether a code, of the app or for recovery, is right; it is used up then. Call it in a write transaction that
    holds the account's row, so that the same code never counts twice."""
    code = "".join(code.split())
    secret = unseal(user, user.totp_secret) if user.totp_secret else None
    if code.isdecimal():
        step = matching_step(secret, code, now) if secret else None
        if step is None or (user.totp_step is not None and step <= user.totp_step):
            return False
        user.totp_step = step
        return True
    found = db.session.scalar(
        select(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_hash == _code_hash(user, code),
            RecoveryCode.used_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )
    if found is None:
        return False
    found.used_at = now
    audit.record_as(user.name, "second_factor.recovery", f"user:{user.id}", left=codes_left(user))
    return True


def was_used(user: User, code: str, now: datetime) -> bool:
    """Whether this is a right code of the app that has counted already, or one from before the newest that has."""
    secret = unseal(user, user.totp_secret) if user.totp_secret else None
    step = matching_step(secret, "".join(code.split()), now) if secret else None
    return step is not None and user.totp_step is not None and step <= user.totp_step


def enrol(user: User, secret: str, step: int) -> list[str]:
    """Turn the second factor on, inside a write transaction: `step` is that of the code that has confirmed it. Returns
    the recovery codes, which are shown once."""
    user.totp_secret = seal(user, secret)
    user.totp_step = step
    return renew_codes(user)


def remove(user: User) -> None:
    """Turn the second factor off, inside a write transaction."""
    user.totp_secret = user.totp_step = None
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def renew_codes(user: User) -> list[str]:
    """New recovery codes in the place of all earlier ones, inside a write transaction."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [
        "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
        for _ in range(RECOVERY_CODES)
    ]
    db.session.add_all(RecoveryCode(user_id=user.id, code_hash=_code_hash(user, code)) for code in codes)
    return codes


def codes_left(user: User) -> int:
    """How many recovery codes are not used yet."""
    unused = select(func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return db.session.scalar(unused) or 0


def _code_hash(user: User, code: str) -> str:
    plain = code.replace("-", "").casefold()
    return hmac.new(keyed("recovery code"), f"{user.id} {plain}".encode(), hashlib.sha256).hexdigest()


def _cipher() -> Fernet:
    return Fernet(urlsafe_b64encode(keyed("second factor")))
