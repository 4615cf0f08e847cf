"""Clients that are slow, endless, wrong or many, all at once, while others ask as they should.

The server runs as users start it. The clients that do harm are a process of their own; meanwhile
`/healthz` is asked again and again, each time over a new connection, and one client asks for the
faces of a picture as it should. All of it on this machine, and for a bounded time.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from cyclopts import App
from PIL import Image

from serve import Server, held, picture, serving
from soak import RESULTS, Row, keep
from spoil import sources, spoil

POST = b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WRONG = {
    "shorter than it says": POST + b"Content-Length: 99\r\n\r\nabc",
    "longer than it says": POST + b"Content-Length: 3\r\n\r\nabc and more",
    "no number": POST + b"Content-Length: many\r\n\r\n",
    "negative": POST + b"Content-Length: -1\r\n\r\n",
    "two": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "no chunk": CHUNKED + b"zz\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" * 40,
    "a head too long": b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000,
    "odd": b"GET /%00%ff%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}
"""Requests that are none."""

PART = b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n'
FORM_TYPE = "multipart/form-data; boundary=x"
FORMS = (
    (PART + b"abc", 400, "last boundary"),
    (PART + b"abc\r\n", 400, "last boundary"),
    (b"--x--\r\n", 422, "no picture"),
    (b"--y\r\n\r\n--y--\r\n", 400, "boundary"),
    (b"", 400, "last boundary"),
    (b'--x\r\nContent-Disposition: form-data; name="score"\r\n\r\n1\r\n--x--', 422, "no file"),
    (b"--x\r\n\r\nabc\r\n--x--\r\n", 422, "no file"),
    (b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\n\r\n--x--\r\n", 400, "boundary"),
    (b"--x\r\nA: " + b"b" * 100_000 + b"\r\n\r\n\r\n--x--\r\n", 400, "boundary"),
    ((PART + b"a\r\n") * 17 + b"--x--\r\n", 413, "16 pictures"),
)
"""Forms that are none: a body, the status of its answer, and words in it."""

CROWD = 500  # connections at once
HOLD = 10.0  # seconds until the crowd comes anew
PAUSE = 0.1  # seconds between two questions whether the server is well
WITHIN = 1.0  # seconds for the answer, on a machine with nothing else at work
PATIENCE = 60.0  # seconds, longer than the server waits for anything
SIDE = 320  # longer side of the correct picture
SIZE = ("--size", "640")  # who serves others should bound what the network takes

MEMORY = 1_400_000_000
"""Bytes that the server may have: 160 MB for bodies, 2 pictures of 26 million pixels under way at
16 bytes while they are decoded and 3 as RGB, and 200 MB for itself."""

app = App(name="python benchmarks/bad_clients.py", help_format="markdown")


# ---- those that do harm ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Harm:
    """A kind of client.

    Attributes:
        clients: at the same time.
        pieces: what the n-th request is made of.
        pause: seconds between two pieces.
    """

    clients: int
    pieces: Callable[[int], Iterable[bytes]]
    pause: float = 0.0


def posted(body: bytes, kind: str = "image/png") -> bytes:
    """A request that is well-formed as far as HTTP goes."""
    head = f"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def endless(number: int) -> Iterator[bytes]:
    """A body in chunks, without a last one."""
    return itertools.chain([CHUNKED], itertools.repeat(b"10000\r\n" + bytes(0x10000) + b"\r\n"))


def one_by_one(head: bytes, content: bytes) -> list[bytes]:
    """A head at once, and a byte at a time."""
    return [head, *(content[at : at + 1] for at in range(len(content)))]


def huge_picture() -> bytes:
    """25 million pixels in a small file."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((5000, 5000), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def harms() -> dict[str, Harm]:
    """All kinds, by name."""
    files, wrong, huge = sources(), list(WRONG.values()), posted(huge_picture())
    length = b"Content-Length: 1000\r\n\r\n"
    long = [POST + b"Content-Length: 1000000000000\r\n\r\n", posted(bytes(25_000_000))]
    return {
        "slow heads": Harm(4, lambda _: one_by_one(b"", b"GET /healthz HTTP/1.1\r\nA: b"), 0.5),
        "slow bodies": Harm(4, lambda _: one_by_one(POST + length, bytes(1000)), 0.5),
        "endless chunks": Harm(2, endless),
        "huge bodies": Harm(2, lambda number: [long[number % len(long)]]),
        "wrong requests": Harm(4, lambda number: [wrong[number % len(wrong)]]),
        "bad forms": Harm(4, lambda number: [posted(FORMS[number % len(FORMS)][0], FORM_TYPE)]),
        "spoiled pictures": Harm(4, lambda number: [posted(spoil(number, files)[1])]),
        "huge pictures": Harm(1, lambda _: [huge], 1.0),
    }


async def _send(port: int, pieces: Iterable[bytes], pause: float) -> None:
    """Sends pieces until they or the server's patience end, and takes what is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
            if reader.at_eof():
                break
        await asyncio.wait_for(reader.read(), PATIENCE)
    finally:
        writer.close()


async def _crowd(port: int, number: int) -> None:
    """Opens many connections, says something on each, and leaves."""
    correct = posted(picture(SIDE))
    said = (
        b"",
        b"GET /heal",
        POST + b"Content-Length: 1000\r\n\r\nabc",
        CHUNKED + b"10\r\n",
        correct,
    )
    writers = []
    for each in itertools.islice(itertools.cycle(said), CROWD):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(each)
            writers.append(writer)
    await asyncio.sleep(HOLD)
    for writer in writers:
        writer.close()


async def _harm(port: int, seconds: float) -> Counter[str]:
    """All of them at once, as long as told; how often each did what it does."""
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds

    async def again(name: str, do: Callable[[int], Awaitable[None]]) -> None:
        while (left := until - time.monotonic()) > 0:
            done[name] += 1
            with suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(do(done[name]), left)

    tasks = [again("crowds", partial(_crowd, port))]
    for name, harm in harms().items():

        async def do(number: int, harm: Harm = harm) -> None:
            await _send(port, harm.pieces(number), harm.pause)

        tasks += [again(name, do) for _ in range(harm.clients)]
    await asyncio.gather(*tasks)
    return done


def do_harm(port: int, seconds: float) -> Counter[str]:
    """The work of the other process."""
    return asyncio.run(_harm(port, seconds))


# ---- those that ask as they should -----------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """What became of the server meanwhile.

    Attributes:
        waits: seconds until each answer of `/healthz`.
        most: bytes that it held.
        served: correct requests that were answered rightly.
        put_off: that were told to come again, or not done in time, as documented.
        faults: whatever else there was.
    """

    waits: list[float] = field(default_factory=list)
    most: int = 0
    served: int = 0
    put_off: int = 0
    faults: list[str] = field(default_factory=list)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and content of an answer, over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "image/jpeg"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def probe(server: Server, seen: Seen, harm: Future[Counter[str]]) -> None:
    """Asks whether the server is well until the harm is over."""
    while not harm.done():
        start = time.perf_counter()
        try:
            status, _ = ask(server.port, "GET", "/healthz")
        except OSError as error:
            seen.faults.append(f"/healthz: {error!r}")
        else:
            seen.waits.append(time.perf_counter() - start)
            if status != 200 or seen.waits[-1] > WITHIN:
                seen.faults.append(f"/healthz: {status}, {seen.waits[-1]:.2f} s")
        seen.most = max(seen.most, held(server.process))
        time.sleep(PAUSE)


def ask_rightly(server: Server, seen: Seen, harm: Future[Counter[str]]) -> None:
    """Asks for faces until the harm is over, and comes again where that is told."""
    content = picture(SIDE)
    wanted = ask(server.port, "POST", "/v1/detect", content)
    while not harm.done():
        try:
            answer = ask(server.port, "POST", "/v1/detect", content)
        except OSError as error:
            seen.faults.append(f"a correct request: {error!r}")
            continue
        if answer[0] in (503, 504):
            seen.put_off += 1
            time.sleep(1)
        elif answer == wanted and answer[0] == 200:
            seen.served += 1
        else:
            seen.faults.append(f"a correct request: {answer[0]} {answer[1][:200]!r}")


def numbers(port: int) -> dict[str, float]:
    """What the server counts."""
    _, text = ask(port, "GET", "/metrics")
    lines = (line.rpartition(" ") for line in text.decode().splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in lines}


def check_end(port: int, seen: Seen) -> None:
    """Nothing is left of the harm, and nothing in the server failed."""
    until = time.monotonic() + PATIENCE
    while (left := numbers(port)["featherface_held_bytes"]) and time.monotonic() < until:
        time.sleep(0.5)
    if left:
        seen.faults.append(f"{left:,.0f} bytes are held by nobody")
    for name, count in numbers(port).items():
        if name.startswith("featherface_requests_total") and 'status="500"' in name:
            seen.faults.append(f"{name}: {count:.0f}")


@app.default
def main(*, seconds: float = 60, results: Path = RESULTS) -> int:
    """Do harm to a server, and see whether others are served.

    Args:
        seconds: How long; what has begun is waited for.
        results: The table of rows.
    """
    begun = time.perf_counter()
    seen = Seen()
    context = multiprocessing.get_context("spawn")
    with serving(2, *SIZE) as server, ProcessPoolExecutor(1, context) as pool:
        ask(server.port, "POST", "/v1/detect", picture(SIDE))
        harm = pool.submit(do_harm, server.port, seconds)
        right = threading.Thread(target=ask_rightly, args=(server, seen, harm))
        right.start()
        probe(server, seen, harm)
        right.join()
        done = harm.result()
        check_end(server.port, seen)
    if seen.most > MEMORY:
        seen.faults.append(f"{seen.most:,} bytes in memory, {MEMORY:,} may be")
    if not seen.served:
        seen.faults.append("no correct request was served")
    told = ", ".join(f"{count:,} {name}" for name, count in done.items())
    row = Row(
        what="clients",
        tried=f"{seconds:g} s of a server under all at once: {told} (each of {CROWD} connections)",
        outcome=f"{len(seen.waits):,} answers of `/healthz`, the slowest after "
        f"{max(seen.waits):.2f} s; {seen.most / 1e6:.0f} MB at most; {seen.served:,} correct "
        f"requests answered rightly, {seen.put_off} told to come again",
        faults=len(seen.faults),
        minutes=(time.perf_counter() - begun) / 60,
        command=f"python benchmarks/bad_clients.py --seconds {seconds:g}",
    )
    keep(row, results)
    print(row.tried, row.outcome, *seen.faults, sep="\n")
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(app(result_action="return_value"))
