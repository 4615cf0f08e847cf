"""What OpenAPI says about requests and answers; the examples are tried by the tests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from featherface.server.body import BINARY, MULTIPART

TEXT = (
    "Faces in pictures: boxes, scores and five landmarks, or the picture with its faces covered. "
    "The body is the bytes of a picture, or a form with files."
)
SCORE = "Faces that score more than this, 0 to 1."
SIZE = '"original", or the pixels that the longer side is scaled to before faces are looked for.'
HOW = "gaussian, pixelate, or solid, which alone leaves nothing of a face."
SHAPE = "ellipse or box."
MARGIN = "What is added to a face's box on each side, as a share of that side."


class Face(BaseModel):
    """A face, in pixels of the upright picture; (0, 0) is its top left corner."""

    box: tuple[float, float, float, float]
    score: float
    landmarks: list[tuple[float, float]]


class Picture(BaseModel):
    """A picture that was looked at; or one that could not be, which has path and error alone."""

    path: str
    width: int | None = None
    height: int | None = None
    faces: list[Face] | None = None
    error: str | None = None


class Error(BaseModel):
    """Why a request was not served, and what to do about it."""

    error: str
    request_id: str


FACE = {
    "box": [10.5, 20.25, 50.0, 70.0],
    "score": 0.98,
    "landmarks": [[22.0, 40.0], [38.0, 40.0], [30.0, 50.0], [24.0, 58.0], [36.0, 58.0]],
}
LOOKED_AT = [
    {"path": "a.jpg", "width": 640, "height": 480, "faces": [FACE]},
    {"path": "b.jpg", "error": "b.jpg: is broken, wanted a whole picture"},
]
DETECTED: dict[str, Any] = {
    "description": "One object a picture, in their order",
    "model": list[Picture],
    "content": {"application/json": {"example": LOOKED_AT}},
}
BLURRED: dict[str, Any] = {
    "description": "The picture in the format it had; the header X-Face-Count tells how many "
    "faces are covered",
    "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
}
REASONS = {
    400: "A form that is broken",
    401: "Without the right token",
    408: "The body took too long to arrive",
    413: "Too many bytes, pixels or pictures",
    415: "No picture of a format that is served",
    422: "A broken picture, or an option out of range",
    503: "Too much to do; Retry-After tells when to come again",
    504: "The pictures took too long",
}


def responses(success: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """All answers of an address for pictures."""
    answers: dict[int | str, dict[str, Any]] = {200: success}
    for status, text in REASONS.items():
        answers[status] = {"model": Error, "description": text}
    return answers


def _body(*curl: str, several: bool) -> dict[str, Any]:
    """A request's body, and commands that send one."""
    file = {"type": "string", "format": "binary"}
    files: dict[str, Any] = {"type": "array", "items": file} if several else file
    form = {"type": "object", "properties": {"picture": files}}
    content = {
        "image/jpeg": {"schema": file},
        "image/png": {"schema": file},
        BINARY: {"schema": file},
        MULTIPART: {"schema": form},
    }
    samples = [{"lang": "sh", "source": line} for line in curl]
    return {"requestBody": {"required": True, "content": content}, "x-codeSamples": samples}


TYPE = '-H "Content-Type: image/jpeg"'

DETECT = _body(
    f"curl {TYPE} --data-binary @a.jpg http://127.0.0.1:8000/v1/detect",
    "curl -F picture=@a.jpg -F picture=@b.jpg 'http://127.0.0.1:8000/v1/detect?score=0.6&size=640'",
    several=True,
)
BLUR = _body(
    f"curl {TYPE} --data-binary @a.jpg 'http://127.0.0.1:8000/v1/blur?how=solid' -o clean.jpg",
    several=False,
)
