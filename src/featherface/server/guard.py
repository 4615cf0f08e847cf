"""What surrounds every request: its id, the token, one log line, one count, one shape of errors."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featherface.server.limits import Budget, Lease, Refusal
from featherface.server.logs import tell
from featherface.server.metrics import Metrics

CONTEXT = "context"
"""Where a request's `Context` lies in its scope's state."""

OPEN = ("/healthz", "/readyz")
"""Addresses that need no token: whoever watches over the process has none."""

PATHS = (*OPEN, "/metrics", "/openapi.json", "/v1/detect", "/v1/blur")
"""Addresses that are told in logs and metrics; any other could be something that a client wrote."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Request ids that are taken over from clients and proxies."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Context:
    """What is known of a request while it is served.

    Attributes:
        request_id: in its answer and in the log.
        started: by the clock of the event loop.
        lease: the bytes that it holds.
        facts: what else its log line tells.
    """

    request_id: str
    started: float
    lease: Lease
    facts: dict[str, int] = field(default_factory=dict)


class Guard:
    """An application with all that around it."""

    def __init__(self, app: ASGIApp, *, token: str, metrics: Metrics, budget: Budget) -> None:
        self._app = app
        self._token = token.encode()
        self._metrics = metrics
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; other kinds of events pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        context = Context(
            _request_id(headers), asyncio.get_running_loop().time(), Lease(self._budget)
        )
        scope.setdefault("state", {})[CONTEXT] = context
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = (b"x-request-id", context.request_id.encode())
                message["headers"] += [request_id, (b"cache-control", b"no-store")]
            await send(message)

        failure: Exception | None = None
        try:
            if self._is_allowed(scope["path"], headers):
                await self._app(scope, receive, answer)
            else:
                wanted = 'wanted the header "Authorization: Bearer TOKEN" with the right token'
                refusal = Refusal(401, wanted, {"WWW-Authenticate": "Bearer"})
                await error_response(refusal, context.request_id)(scope, receive, answer)
        except Exception as error:  # the application has answered 500 already
            failure = error
        finally:
            context.lease.drop()
            path = scope["path"] if scope["path"] in PATHS else "other"
            seconds = time.perf_counter() - started
            self._metrics.count_request(path, status, seconds)
            tell(
                logger,
                "request",
                level=logging.ERROR if failure else logging.INFO,
                error=failure,
                request_id=context.request_id,
                method=scope["method"] if scope["method"] in METHODS else "other",
                path=path,
                status=status,
                ms=round(1000 * seconds, 1),
                **context.facts,
            )

    def _is_allowed(self, path: str, headers: Headers) -> bool:
        if not self._token or path in OPEN:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Compared in constant time, so that nobody can find out the token letter by letter.
        is_right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return is_right and scheme.lower() == "bearer"


def error_response(refusal: Refusal, request_id: str) -> Response:
    """The answer of every request that is not served."""
    body: dict[str, Any] = {"error": refusal.reason, "request_id": request_id}
    return Response(
        json.dumps(body), refusal.status, dict(refusal.headers), media_type="application/json"
    )


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if WELL_FORMED.fullmatch(given) else f"{random.getrandbits(128):032x}"
