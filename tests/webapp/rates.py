"""Places where rates are counted, as a test wants them."""

from limits.storage import MemoryStorage

DOWN = "down://"
"""The setting `rate_storage` for one that does not answer."""


class StorageThatIsDown(MemoryStorage):
    """Counts nothing, as a Redis that does not answer."""

    STORAGE_SCHEME = ["down"]  # noqa: RUF012  # as the library declares it
    base_exceptions = EOFError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        raise EOFError
