"""`featherface serve`: faces found and covered over HTTP."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from featherface.recipes.blur import SCORE
from featherface.runtime.detector import Detector
from featherface.server.limits import AHEAD, Limits, Service
from featherface.server.logs import log_as_json, warn
from featherface.server.run import listen, serve

TOKEN = "FEATHERFACE_TOKEN"
"""The environment variable that may hold the token."""


def main(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    weights: str | None = None,
    score: float = 0.5,
    size: Annotated[Literal["original"] | int, Parameter(show_choices=False)] = "original",
    tiles: int | None = None,
    workers: int | None = None,
    queue: int | None = None,
    max_bytes: int = 20_000_000,
    max_pixels: int = 26_000_000,
    max_pictures: int = 16,
    seconds: float = 30.0,
) -> int:
    """Find and blur faces over HTTP, until SIGTERM or Ctrl-C.

    POST /v1/detect and /v1/blur take pictures, GET /openapi.json describes them. Requests that
    have begun are finished before the end. The log goes to stderr, a line of JSON a request.

    Args:
        host: Address to listen on; the one given here is reached from this machine alone.
        port: To listen on; 0 for one that is free, which the log tells.
        token_file: A file with the token that clients have to send ("Authorization: Bearer
            TOKEN"). Without it the environment variable FEATHERFACE_TOKEN counts, if there is one.
        weights: Name of weights that come with featherface, or an .onnx file of your own.
        score: Report faces that score more than this, 0 to 1, where a request says nothing else.
        size: "original", or the pixels that the longer side of each picture is scaled to, where a
            request says nothing else.
        tiles: Look at larger pictures in overlapping tiles of so many pixels: the network's
            memory does not grow with them.
        workers: Pictures that are worked on at the same time; as many as there are cores unless
            told otherwise.
        queue: Pictures that may be worked on or wait, 32 for each worker unless told otherwise.
        max_bytes: Of a request's body.
        max_pixels: Of a picture, as it is stored and as it is looked at.
        max_pictures: In one request.
        seconds: For a request, from its first byte to its answer.
    """
    workers = _cores() if workers is None else workers
    limits = Limits(
        workers=workers,
        queue=AHEAD * max(1, workers) if queue is None else queue,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_pictures=max_pictures,
        seconds=seconds,
    )
    token = _token(token_file)
    detector = Detector(weights, score=score, size=size, tiles=tiles)
    listener = listen(host, port)
    log_as_json()
    if not token and not _is_local(listener.getsockname()[0]):
        warn("reachable from other machines without a token", fix=f"set {TOKEN} or --token-file")
    serve(Service(detector, limits, blur_score=SCORE, token=token), listener)
    return 0


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _token(file: Path | None) -> str:
    """What clients have to send, or nothing.

    Raises:
        ValueError: the place for it is there, and it is not.
    """
    if file is not None:
        name, token = str(file), file.read_text(encoding="utf-8").strip()
    else:
        name, token = TOKEN, os.environ.get(TOKEN, "").strip()
        if TOKEN not in os.environ:
            return ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{name}: wanted a token there, printable ASCII without spaces")
    return token


def _is_local(address: str) -> bool:
    return ip_address(address).is_loopback
