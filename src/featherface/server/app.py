"""The addresses of the server, and their description in OpenAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from featherface import __version__
from featherface.runtime.hide import Cover, How, Shape
from featherface.server import description
from featherface.server.desk import Desk, context_of
from featherface.server.guard import Guard, error_response
from featherface.server.limits import Refusal

Score = Annotated[float, Query(ge=0, le=1, description=description.SCORE, examples=[0.6])]
Size = Annotated[
    Annotated[int, Field(ge=1)] | Literal["original"],
    Query(description=description.SIZE, examples=[640]),
]
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def build(desk: Desk) -> Guard:
    """The application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.workers.close()

    app = FastAPI(
        title="featherface",
        version=__version__,
        description=description.TEXT,
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
    )
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    _add_pictures(app, desk)
    _add_state(app, desk)
    service = desk.service
    return Guard(app, token=service.token, metrics=desk.metrics, budget=desk.budget)


def _add_pictures(app: FastAPI, desk: Desk) -> None:
    service = desk.service
    token = [Depends(HTTPBearer(auto_error=False))] if service.token else []  # tells OpenAPI of it

    @app.post(
        "/v1/detect",
        summary="Find the faces in pictures",
        response_class=Response,
        responses=description.responses(description.DETECTED),
        openapi_extra=description.DETECT,
        dependencies=token,
    )
    async def detect(
        request: Request,
        score: Score = service.detector.score,
        size: Size = service.detector.size,
    ) -> Response:
        return await desk.detect(request, score=score, size=size)

    @app.post(
        "/v1/blur",
        summary="Make the faces in a picture unrecognisable",
        response_class=Response,
        responses=description.responses(description.BLURRED),
        openapi_extra=description.BLUR,
        dependencies=token,
    )
    async def blur(
        request: Request,
        how: Annotated[How, Query(description=description.HOW)] = "gaussian",
        shape: Annotated[Shape, Query(description=description.SHAPE)] = "ellipse",
        margin: Annotated[float, Query(ge=0, le=10, description=description.MARGIN)] = 0.2,
        score: Score = service.blur_score,
        size: Size = service.detector.size,
    ) -> Response:
        cover = Cover(how=how, shape=shape, margin=margin)
        return await desk.blur(request, score=score, size=size, cover=cover)


def _add_state(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether requests should be sent here")
    async def readyz() -> JSONResponse:
        state, status = ("ready", 200) if desk.is_ready else ("not ready", 503)
        return JSONResponse({"status": state}, status)

    @app.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(desk.metrics.text(), media_type=PROMETHEUS)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error_response(error, context_of(request).request_id)


async def _refuse_options(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    reasons = [f"{each['loc'][1]}: {each['msg']}" for each in error.errors()]  # ("query", name)
    refusal = Refusal(422, "; ".join(dict.fromkeys(reasons)))
    return error_response(refusal, context_of(request).request_id)


async def _refuse_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    wanted = "wanted POST /v1/detect, POST /v1/blur or one of those that GET /openapi.json lists"
    refusal = Refusal(error.status_code, f"{error.detail}: {wanted}", error.headers or {})
    return error_response(refusal, context_of(request).request_id)


async def _fail(request: Request, error: Exception) -> Response:
    reason = f"{type(error).__name__} in the server; its log has the place under this request_id"
    return error_response(Refusal(500, reason), context_of(request).request_id)


HANDLERS: dict[type[Exception], Any] = {
    Refusal: _refuse,
    RequestValidationError: _refuse_options,
    HTTPException: _refuse_address,
    Exception: _fail,
}
"""Every way in which a request can fail, brought to the same shape."""
