"""Files that are either the old content or the new, never half of it."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file in the same folder, then put it in place of `path`.

    Who may read it is as the process's umask says. What `write` or the disk raises passes through, and `path` stays as
    it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step. Raises OSError where that cannot be done."""
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, values: Any) -> None:
    """Write JSON, indented, in UTF-8. Raises ValueError for NaN or infinity, which JSON has not."""
    write_bytes(path, (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# The last record of a zip archive: 22 bytes, of which the last two are the length of the comment that may follow.
_ZIP_END, _END_BYTES, _DIGEST_BYTES = b"PK\x05\x06", 22, 64


def seal(path: Path) -> None:
    """Add to a zip archive without a comment (a file of torch is one) the SHA-256 of its content, as its comment.

    Readers of zip archives pass over comments, so the file stays what it is. Raises ValueError for any other file.
    """
    with path.open("r+b") as stream:
        stream.seek(-_END_BYTES, os.SEEK_END)
        end = stream.read()
        if not end.startswith(_ZIP_END) or end[-2:] != b"\0\0":
            raise ValueError("no zip archive without a comment")
        stream.seek(-2, os.SEEK_END)
        stream.write(_DIGEST_BYTES.to_bytes(2, "little"))
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0, os.SEEK_END)
        stream.write(digest.encode())


def sealed(path: Path) -> bool:
    """Whether a file that was sealed is as it was then; one without a checksum, as older releases wrote, passes."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _END_BYTES))
        if stream.read().startswith(_ZIP_END):
            return True
        digest, left = hashlib.sha256(), size - _DIGEST_BYTES
        stream.seek(0)
        while left > 0 and (part := stream.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        return stream.read() == digest.hexdigest().encode()
