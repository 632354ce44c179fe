"""Decoding in processes of their own: the same pictures, and whatever happens to such a process."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml import decoder_server, decoding, images
from ml.data.drawn import draw_lesion
from ml.decoding import DecoderPool
from ml.errors import DecoderUnavailable, InvalidImage
from tests.ml.test_images import FIXTURES, PHOTOS, encoded

PROJECT = Path(__file__).resolve().parent.parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    """A pool with one child, so that it is known which one reads a picture."""
    made = DecoderPool(children=1)
    yield made
    made.close()


def reason(pool: DecoderPool, data: bytes, **options: int) -> str:
    with pytest.raises(InvalidImage) as caught:
        pool.decode(data, **options)
    assert str(caught.value)
    return caught.value.reason


def child_of(pool: DecoderPool) -> int:
    """The process number of the one idle child."""
    (child,) = pool._idle
    return child.number


def is_gone(number: int) -> bool:
    """Whether a process ends within a few seconds."""
    for _ in range(100):
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("image_format", PHOTOS)
def test_decodes_as_this_process_would(image_format: str) -> None:
    data = PHOTOS[image_format]
    for max_side in (None, 40):
        pixels = decoding.decode(data, max_side=max_side)
        assert np.array_equal(pixels, images.decode(data, max_side=max_side))
        assert pixels.flags.writeable
        assert pixels.flags.c_contiguous
    assert decoding.dimensions(data) == images.dimensions(data) == (96, 64)
    turned = (FIXTURES / "drawn-turned.heic").read_bytes()
    assert decoding.dimensions(turned) == (64, 96)


def test_refuses_as_this_process_would(pool: DecoderPool) -> None:
    photo = PHOTOS["JPEG"]
    refused = [b"", b"text", b"GIF89a" + bytes(40), photo[:200], photo[:20], bytes(PHOTOS["PNG"][:60]) + bytes(90)]
    refused.append(encoded(Image.new("RGB", (40, 8)), "PNG"))
    for data in refused:
        with pytest.raises(InvalidImage) as known:
            images.decode(data)
        assert reason(pool, data) == known.value.reason
        with pytest.raises(InvalidImage):
            pool.dimensions(data[:30])
    assert reason(pool, photo, max_pixels=96 * 64 - 1) == "too_many_pixels"


def test_one_child_reads_many_pictures_but_none_after_a_bad_one(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.decode(PHOTOS["JPEG"])
    first = child_of(pool)
    pool.decode(PHOTOS["PNG"])
    assert child_of(pool) == first
    reason(pool, b"no picture")
    assert child_of(pool) == first
    reason(pool, PHOTOS["JPEG"][:300])
    assert not pool._idle
    pool.decode(PHOTOS["JPEG"])
    assert child_of(pool) != first
    monkeypatch.setattr(decoder_server, "PICTURES", 2)
    pool.decode(PHOTOS["JPEG"])
    assert not pool._idle


@LINUX
def test_a_child_that_has_grown_is_replaced(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_server, "GROWN_BYTES", 1024)
    pool.decode(PHOTOS["JPEG"])
    assert not pool._idle


def test_shared_memory_of_a_large_picture_is_given_back(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_server, "KEPT_BYTES", 1000)
    pool.decode(PHOTOS["JPEG"])
    (child,) = pool._idle
    assert os.fstat(child.file.fileno()).st_size == os.fstat(child.pixels.fileno()).st_size == 0
    assert pool.decode(PHOTOS["PNG"]).shape == (64, 96, 3)


def test_an_idle_child_may_die_without_harm(pool: DecoderPool) -> None:
    pool.decode(PHOTOS["JPEG"])
    os.kill(child_of(pool), signal.SIGSEGV)
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


@LINUX
def test_the_fork_server_may_die_without_harm(pool: DecoderPool) -> None:
    pool.decode(PHOTOS["JPEG"])
    child = child_of(pool)
    assert pool._server is not None
    pool._server._process.kill()
    assert is_gone(child), "children end with the one that started them"
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


@LINUX
def test_a_fork_server_that_dies_each_time_is_not_started_for_ever(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def killed(child: decoder_server.Child, *request: Any) -> Any:
        asked.append(child.number)
        assert pool._server is not None
        pool._server._process.kill()
        pool._server._process.wait()
        raise decoder_server.Died

    monkeypatch.setattr(decoder_server.Child, "ask", killed)
    with pytest.raises(DecoderUnavailable, match="as soon as they are started"):
        pool.decode(PHOTOS["JPEG"])
    assert len(asked) == 1 + decoding.RETRIES
    monkeypatch.undo()
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


def test_a_file_that_is_too_large_keeps_no_child_busy(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", len(PHOTOS["JPEG"]) - 1)
    assert reason(pool, PHOTOS["JPEG"]) == "too_many_bytes"
    with pytest.raises(InvalidImage):
        pool.dimensions(PHOTOS["JPEG"])
    assert pool._server is None


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGSEGV, "damaged"), (signal.SIGKILL, None)])
def test_a_child_that_dies_over_a_picture_refuses_it(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, number: int, expected: str | None
) -> None:
    """Broken where it crashed; not the picture's fault where the system has ended it, as it does when memory is out."""
    asked: list[int] = []
    ask = decoder_server.Child.ask

    def noted(child: decoder_server.Child, *request: Any) -> Any:
        asked.append(child.number)
        threading.Timer(0.3, os.kill, (child.number, number)).start()
        return ask(child, *request)

    monkeypatch.setattr(decoder_server.Child, "ask", noted)
    if expected:
        assert reason(pool, many_scans(4000)) == expected
    else:
        with pytest.raises(DecoderUnavailable, match="The system ended"):
            pool.decode(many_scans(4000))
    assert len(asked) == 1, "a fresh child's death is taken for the picture's fault"
    monkeypatch.undo()
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


def many_scans(scans: int, side: int = 4000) -> bytes:
    """A progressive JPEG of a few hundred kilobytes with so many scans over all its blocks that none ends in time."""
    data = encoded(Image.new("L", (64, 64), 90), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    data = data[: frame + 5] + struct.pack(">HH", side, side) + data[frame + 9 :]
    start = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4")
    repeated = data[min(start, table) : -2]
    return data[:-2] + repeated * scans + b"\xff\xd9"


def test_a_picture_that_takes_too_long_is_refused(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoder_server, "WALL_SECONDS", 120)  # of processor time it is allowed far less
    assert reason(pool, many_scans(60000)) == "too_complex"
    assert f"signal {int(signal.SIGXCPU)}" in caplog.text
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


def test_an_answer_that_does_not_come_is_not_waited_for(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_server, "WALL_SECONDS", 0.2)
    with pytest.raises(DecoderUnavailable, match="held up"):  # a host that is busy with something else
        pool.decode(many_scans(4000))
    if sys.platform == "linux":
        monkeypatch.setattr(decoder_server, "HEAVY_SECONDS", 0.01)
        monkeypatch.setattr(decoder_server, "WALL_SECONDS", 0.5)
        assert reason(pool, many_scans(4000)) == "too_complex"


@LINUX
def test_a_picture_that_takes_too_much_memory_is_refused(pool: DecoderPool) -> None:
    """Coefficients of 64 megapixels in four colours would take half a gigabyte."""
    data = encoded(Image.new("CMYK", (64, 64)), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    huge = data[: frame + 5] + struct.pack(">HH", 8000, 8000) + data[frame + 9 :]
    assert reason(pool, huge, max_pixels=64_000_000) in ("too_complex", "damaged")
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


def test_many_threads_share_few_children() -> None:
    pool = DecoderPool(children=2)
    large = encoded(Image.fromarray(draw_lesion("nv", np.random.default_rng(0), (300, 400))), "PNG")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: pool.decode(PHOTOS["JPEG"] if number % 2 else large).shape, range(40)))
    assert found == [(300, 400, 3), (64, 96, 3)] * 20
    assert 1 <= len(pool._idle) <= 2
    pool.close()


def test_no_child_means_no_answer(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DecoderUnavailable, match="could be started"):
        pool.decode(PHOTOS["JPEG"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DecoderUnavailable, match="could be started"):
        pool.decode(PHOTOS["JPEG"])
    monkeypatch.undo()
    assert pool.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)


def test_nobody_waits_for_ever(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WAIT_SECONDS", 0.05)
    with pool._turn(), pytest.raises(DecoderUnavailable, match="busy"):
        pool.decode(PHOTOS["JPEG"])


@LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_decoder_outlives_its_application(tmp_path: Path, number: int) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(PHOTOS["PNG"])
    program = (
        "import pathlib, sys, threading, time; from ml import decoding\n"
        "thread = threading.Thread(target=lambda: decoding.decode(pathlib.Path(sys.argv[1]).read_bytes()))\n"
        "thread.start(); thread.join(); time.sleep(0.2)\n"  # the thread that started them may end before they do
        "pool = decoding._pool\n"
        "print(pool._server._process.pid, pool._idle[0].number, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(photo)], cwd=PROJECT, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        server, child = map(int, one.stdout.readline().split())
        assert Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        one.send_signal(number)
        assert is_gone(server)
        assert is_gone(child)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_decoders_of_its_own() -> None:
    decoding.decode(PHOTOS["JPEG"])
    before = child_of(decoding._pool) if len(decoding._pool._idle) == 1 else None
    number = os.fork()
    if number == 0:
        status = 1
        try:
            right = not decoding._pool._idle and decoding.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)
            status = 0 if right else 2
            decoding._pool.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
    assert decoding.decode(PHOTOS["JPEG"]).shape == (64, 96, 3)
    assert before is None or child_of(decoding._pool) == before
