"""Clients that are slow, endless, wrong or many: all of it on this machine, small and bounded."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from serving import Serve, Served, picture, wait_until

from bad_clients import POST, WRONG
from featherface.server import connection

LONG = 10_000_000  # more than the buffers of the system take


def is_well(served: Served) -> None:
    """The process answers within a second, and does its work."""
    start = time.monotonic()
    assert served.client.get("/healthz").status_code == 200
    assert time.monotonic() - start < 1
    assert served.detect(picture()).status_code == 200


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def test_a_body_that_comes_too_slowly_is_given_up(serve: Serve) -> None:
    served = serve(seconds=0.5)
    with served.connect() as client:
        client.sendall(POST + b"Content-Length: 1000\r\n\r\n" + bytes(10))
        assert b" 408 " in client.recv(4096)
        is_well(served)
    wait_until(lambda: served.desk.budget.taken == 0)


def send_for(client: socket.socket, chunk: bytes, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.sendall(chunk)


def test_a_body_without_an_end_is_stopped_at_the_limit(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REST", 0.2)
    served = serve(max_bytes=100_000)
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with served.connect() as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            send_for(client, chunk, seconds=60)  # much goes through loopback before it is cut
        is_well(served)
    wait_until(lambda: served.desk.budget.taken == 0)


def test_who_sends_first_and_reads_later_sees_why_it_was_refused(serve: Serve) -> None:
    served = serve(max_bytes=100_000)
    answer = served.detect(bytes(LONG))
    assert answer.status_code == 413
    assert "100,000 bytes" in answer.json()["error"]
    is_well(served)


def test_a_client_that_asks_first_sends_no_body_in_vain(serve: Serve) -> None:
    served = serve(max_bytes=1000)
    for length, line in [(1001, b"HTTP/1.1 413 "), (1000, b"HTTP/1.1 100 ")]:
        with served.connect() as client:
            head = f"Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
            client.sendall(POST + head.encode())
            assert client.recv(4096).startswith(line)


@pytest.mark.parametrize("request_bytes", WRONG.values(), ids=WRONG)
def test_a_request_that_is_wrong_harms_nobody_else(served: Served, request_bytes: bytes) -> None:
    with served.connect() as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    is_well(served)
    wait_until(lambda: served.desk.budget.taken == 0)
    assert served.desk.workers.under_way == 0


def test_a_head_without_an_end_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD", 0.2)
    served = serve()
    with served.connect() as silent, served.connect() as second:
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: b"ok" in second.recv(4096))
        second.sendall(b"GET /healthz HT")  # the next one on the same connection
        assert read_all(silent) == b""
        assert read_all(second) == b""
    is_well(served)


def test_a_client_that_does_not_take_its_answer_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER", 0.2)
    served = serve()
    served.desk.metrics.text = lambda: bytes(LONG)  # type: ignore[method-assign]
    with served.connect() as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.4)
        assert len(read_all(client)) < LONG
    is_well(served)


def test_who_leaves_the_queue_is_not_worked_for(served: Served) -> None:
    served.gate.open.clear()
    with ExitStack() as stack:
        clients = [stack.enter_context(served.connect()) for _ in range(8)]
        for client in clients:
            content = picture()
            client.sendall(POST + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        wait_until(lambda: served.desk.workers.under_way == 8)
    wait_until(lambda: served.desk.workers.under_way <= 2)  # those that a thread has already
    served.gate.open.set()
    wait_until(lambda: served.desk.workers.under_way == 0)
    assert served.gate.seen <= 2
    wait_until(lambda: served.desk.budget.taken == 0)
    is_well(served)


def test_five_hundred_connections_at_once_leave_room_for_a_correct_one(serve: Serve) -> None:
    served = serve(workers=2)
    content = picture()
    whole = POST + f"Content-Length: {len(content)}\r\n\r\n".encode() + content
    kinds = [
        b"",
        b"GET /heal",
        POST + b"Content-Length: 1000\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n10\r\n" + bytes(16) + b"\r\n",
        whole,
    ]
    with ExitStack() as stack:
        for number in range(500):
            client = stack.enter_context(served.connect())
            client.sendall(kinds[number % len(kinds)])
        assert served.client.get("/healthz").status_code == 200
        is_well_soon(served)
    wait_until(lambda: served.desk.budget.taken == 0)
    is_well(served)


def is_well_soon(served: Served) -> None:
    """As `is_well`, for a client that comes again when it is told to."""
    answers = ask_again(served)
    assert next(answer for answer in answers if answer.status_code != 503).status_code == 200


def ask_again(served: Served) -> Iterator[httpx.Response]:
    for _ in range(5):
        answer = served.detect(picture())
        yield answer
        time.sleep(float(answer.headers.get("retry-after", 0)))


def test_connections_beyond_the_most_are_turned_away(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    is_well(served)  # over the one connection that the client keeps
    monkeypatch.setattr(connection, "MOST", 3)
    with served.connect() as first, served.connect() as second, served.connect() as third:
        assert read_all(third) == b""
        is_well(served)
        for client in (first, second):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in client.recv(4096)
