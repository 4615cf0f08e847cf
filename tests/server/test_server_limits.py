"""Whoever asks for too much, or for something else, is told what to do instead."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from serving import Serve, Served, picture, wait_until

from bad_clients import FORM_TYPE, FORMS
from featherface.server.limits import Limits


def png(width: int, height: int) -> bytes:
    """The head of a file that claims so many pixels, and no more."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    empty = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (head, empty, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def half(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, form)
    return stream.getvalue()[: stream.tell() // 2]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        pytest.param(b"", 422, "is empty", id="nothing"),
        pytest.param(half("JPEG"), 422, "cannot be read", id="half a JPEG"),
        pytest.param(half("PNG"), 422, "cannot be read", id="half a PNG"),
        pytest.param(b"\xff\xd8\xff" + bytes(50), 422, "is broken", id="no more than a magic"),
        pytest.param(b"%PDF-1.7 and more", 415, "JPEG, PNG", id="a PDF"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "JPEG, PNG", id="a PostScript"),
        pytest.param(b"<svg xmlns='x'/>", 415, "JPEG, PNG", id="an SVG"),
        pytest.param(png(6000, 6000), 413, "6000 x 6000", id="36 million pixels"),
        pytest.param(png(50_000, 50_000), 413, "pixels", id="as many as Pillow refuses"),
        pytest.param(png(1, 2_000_000), 413, "32 x 2000000", id="a line that padding makes wide"),
    ],
)
def test_a_picture_that_is_not_served(
    served: Served, content: bytes, status: int, words: str
) -> None:
    for path in ("/v1/detect", "/v1/blur"):
        answer = served.client.post(path, content=content, headers={"Content-Type": "image/png"})
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error", "request_id"}
        assert answer.json()["error"].startswith("picture 1: ")
        assert words in answer.json()["error"]
    assert served.gate.seen == 0
    assert served.detect(picture()).status_code == 200


def test_a_small_picture_is_not_enlarged_beyond_all_bounds(served: Served) -> None:
    answer = served.detect(picture(), params={"size": 100_000})
    assert answer.status_code == 413
    assert "smaller size" in answer.json()["error"]
    assert served.detect(picture(), params={"size": 10**30}).status_code == 413


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"score": 2}, "score"),
        ({"score": "nan"}, "score"),
        ({"size": "big"}, "size"),
        ({"size": 0}, "size"),
        ({"size": -5}, "size"),
        ({"how": "softly"}, "how"),
        ({"margin": 11}, "margin"),
    ],
)
def test_options_out_of_range_are_named(
    served: Served, options: dict[str, object], word: str
) -> None:
    answer = served.client.post("/v1/blur", params=options, files={"a": picture()})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "request_id"}
    assert answer.json()["error"].startswith(f"{word}: ")


def test_other_addresses_and_methods_are_refused_in_the_same_shape(served: Served) -> None:
    for answer, status in [
        (served.client.get("/nowhere"), 404),
        (served.client.get("/v1/detect"), 405),
        (served.client.post("/healthz"), 405),
    ]:
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "request_id"}
        assert "/v1/detect" in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "multipart/form-data"}, 400),
        ({"Content-Type": "multipart/form-data; boundary=" + "x" * 5000}, 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 400),
    ],
)
def test_a_body_of_another_type_is_refused(
    served: Served, headers: dict[str, str], status: int
) -> None:
    answer = served.detect(picture(), headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "request_id"}


@pytest.mark.parametrize(("body", "status", "words"), FORMS)
def test_a_form_that_is_none_is_refused(
    served: Served, body: bytes, status: int, words: str
) -> None:
    answer = served.detect(body, headers={"Content-Type": FORM_TYPE})
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_a_form_without_any_good_picture_is_refused_for_the_first_reason(served: Served) -> None:
    files = [("a", ("one", png(6000, 6000))), ("a", ("two", b"Dear reader"))]
    answer = served.client.post("/v1/detect", files=files)
    assert answer.status_code == 413
    assert "none of the 2 pictures" in answer.json()["error"]
    assert "one: has 6000 x 6000 pixels" in answer.json()["error"]


def test_several_pictures_cannot_be_blurred_at_once(served: Served) -> None:
    files = [("a", ("one", picture())), ("a", ("two", picture()))]
    answer = served.client.post("/v1/blur", files=files)
    assert answer.status_code == 422
    assert "wanted 1" in answer.json()["error"]


def test_a_body_that_says_it_is_too_long_is_not_waited_for(serve: Serve) -> None:
    served = serve(max_bytes=1000)
    with served.connect() as connection:
        connection.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
        assert b" 413 " in connection.recv(4096)
    assert served.detect(bytes(1000)).status_code == 415
    assert served.detect(bytes(1001)).status_code == 413


def test_a_full_queue_says_when_to_come_again(serve: Serve) -> None:
    served = serve(queue=2, max_pictures=2)
    served.gate.open.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(served.detect, picture()) for _ in range(2)]
        wait_until(lambda: served.desk.workers.under_way == 2)
        refused = served.detect(picture())
        assert served.client.get("/healthz").status_code == 200
        served.gate.open.set()
        assert [each.result().status_code for each in waiting] == [200, 200]
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert "try again" in refused.json()["error"]
    assert served.detect(picture()).status_code == 200
    assert served.gate.seen == 3


def test_a_form_that_does_not_fit_into_the_queue_is_refused_whole(serve: Serve) -> None:
    served = serve(queue=2, max_pictures=2)
    served.gate.open.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.detect, picture())
        wait_until(lambda: served.desk.workers.under_way == 1)
        two = [("a", ("1", picture())), ("a", ("2", picture()))]
        assert served.client.post("/v1/detect", files=two).status_code == 503
        served.gate.open.set()
        assert waiting.result().status_code == 200
    assert served.client.post("/v1/detect", files=two).status_code == 200


def test_bytes_of_all_requests_together_are_bounded(serve: Serve) -> None:
    served = serve(max_bytes=1000)
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    content = stream.getvalue()
    fit = served.desk.budget.limit // len(content)
    served.gate.open.clear()
    with ThreadPoolExecutor(fit) as pool:
        waiting = [pool.submit(served.detect, content) for _ in range(fit)]
        wait_until(lambda: served.desk.workers.under_way == fit)
        refused = served.detect(content)
        served.gate.open.set()
        assert {each.result().status_code for each in waiting} == {200}
    assert refused.status_code == 503
    assert "memory" in refused.json()["error"]
    wait_until(lambda: served.desk.budget.taken == 0)


def test_a_request_that_takes_too_long_is_answered_and_holds_its_place(serve: Serve) -> None:
    served = serve(seconds=0.2)
    served.gate.open.clear()
    answer = served.detect(picture())
    assert answer.status_code == 504
    assert "0.2 seconds" in answer.json()["error"]
    assert served.desk.workers.under_way == 1  # its thread cannot be stopped
    assert served.desk.budget.taken > 0
    served.gate.open.set()
    wait_until(lambda: served.desk.workers.under_way == 0)
    wait_until(lambda: served.desk.budget.taken == 0)
    assert served.detect(picture()).status_code == 200


def test_a_failure_of_ours_is_told_with_its_type_alone(served: Served) -> None:
    served.gate.find = lambda *_, **__: 1 / 0  # type: ignore[method-assign,assignment]
    answer = served.detect(picture())
    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "request_id"}
    assert "ZeroDivisionError" in answer.json()["error"]
    assert served.client.get("/healthz").status_code == 200
    assert served.desk.workers.under_way == 0
    wait_until(lambda: served.desk.budget.taken == 0)


def test_limits_that_make_no_sense_are_refused() -> None:
    for wrong in ({"workers": 0}, {"seconds": 0}, {"max_bytes": 0}, {"queue": 3}):
        with pytest.raises(ValueError, match="wanted"):
            Limits(**wrong)  # type: ignore[arg-type]


def test_many_threads_may_ask_at_once(serve: Serve) -> None:
    served = serve(workers=2, queue=64)
    content, names = picture(2), [thread.name for thread in threading.enumerate()]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(served.detect, [content] * 64))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()) for answer in answers}) == 1
    assert len([thread for thread in threading.enumerate() if thread.name not in names]) <= 18


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priorities")
def test_pictures_give_way_to_the_event_loop(serve: Serve) -> None:
    before = set(threading.enumerate())
    serve(workers=2).detect(picture(2))
    nice = {"picture": set(), "other": set()}  # type: dict[str, set[int]]
    for thread in set(threading.enumerate()) - before:
        kind = "picture" if thread.name.startswith("picture") else "other"
        nice[kind].add(os.getpriority(os.PRIO_PROCESS, thread.native_id or 0))
    assert min(nice["picture"]) > max(nice["other"])
