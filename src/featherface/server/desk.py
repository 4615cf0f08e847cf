"""The way of a request: its body is read, its pictures queued and worked on, all in its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from anyio import fail_after
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from featherface.runtime.hide import Cover
from featherface.server.body import gone, read
from featherface.server.guard import CONTEXT, Context
from featherface.server.limits import Budget, Refusal, Service
from featherface.server.metrics import Metrics
from featherface.server.pictures import Picture, Side, blur, find
from featherface.server.workers import Workers

T = TypeVar("T")


class Desk:
    """Takes requests for pictures.

    Attributes:
        service: what it serves with.
        budget: bytes of all requests.
        workers: threads for the pictures.
        metrics: what is counted.
        is_ready: whether requests should be sent here.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.budget = Budget(service.limits.held_bytes)
        self.workers = Workers(service.limits)
        self.metrics = Metrics(service, self.workers, self.budget)
        self.is_ready = False

    async def detect(self, request: Request, *, score: float, size: Side) -> Response:
        """The faces of all pictures of a request, in the JSON of the command line.

        Raises:
            Refusal: nothing can be told of any of them.
        """
        job = partial(
            find,
            detector=self.service.detector,
            score=score,
            size=size,
            limits=self.service.limits,
        )
        found = await self._work(request, job)
        for each in found:
            self.metrics.count_picture(each.refusal.status if each.refusal else 200, each.faces)
        refusals = [each.refusal for each in found if each.refusal]
        if len(refusals) == len(found):
            raise _all_refused(refusals)
        content = "[\n" + ",\n".join(each.text for each in found) + "\n]\n"
        return _respond(request, content.encode(), "application/json", {})

    async def blur(self, request: Request, *, score: float, size: Side, cover: Cover) -> Response:
        """The picture of a request, with its faces covered.

        Raises:
            Refusal: it cannot be done.
        """
        job = partial(
            blur,
            detector=self.service.detector,
            score=score,
            size=size,
            cover=cover,
            limits=self.service.limits,
        )
        (blurred,) = await self._work(request, job, most=1)
        if isinstance(blurred, Refusal):
            self.metrics.count_picture(blurred.status, 0)
            raise blurred
        self.metrics.count_picture(200, blurred.faces)
        return _respond(
            request, blurred.content, blurred.media_type, {"X-Face-Count": str(blurred.faces)}
        )

    async def _work(
        self, request: Request, job: Callable[[Picture], T], *, most: int | None = None
    ) -> list[T]:
        """Reads a request's body and does a job with each of its pictures.

        Raises:
            Refusal: as all that is called here.
        """
        context = context_of(request)
        until = context.started + self.service.limits.seconds
        self.workers.check(1)  # rather than to read a body in vain
        pictures = await self._read(request, context, until)
        context.facts["pictures"] = len(pictures)
        context.facts["bytes"] = sum(len(each.content) for each in pictures)
        if most is not None and len(pictures) > most:
            raise Refusal(422, f"there are {len(pictures)} pictures in the form, wanted {most}")
        jobs = [partial(job, each) for each in pictures]
        return await self._in_time(self.workers.do(jobs, context.lease), request.receive, until)

    async def _read(self, request: Request, context: Context, until: float) -> list[Picture]:
        seconds = self.service.limits.seconds
        try:
            with fail_after(_left(until)):
                return await read(
                    request.receive, request.headers, self.service.limits, context.lease
                )
        except TimeoutError:
            raise Refusal(
                408, f"the body was not here after {seconds:g} seconds; send smaller pictures"
            ) from None

    async def _in_time(self, work: asyncio.Future[T], receive: Receive, until: float) -> T:
        """What `work` gives, if it does so in time and the client waits for it."""
        leaving = asyncio.ensure_future(_leave(receive))
        leaving.add_done_callback(lambda _: work.cancel())
        try:
            with fail_after(_left(until)):
                return await work
        except TimeoutError:
            raise Refusal(
                504,
                f"not done after {self.service.limits.seconds:g} seconds; send fewer or smaller "
                "pictures, or ask for a smaller size",
            ) from None
        except asyncio.CancelledError:
            if leaving.done():
                raise gone() from None
            raise
        finally:
            leaving.cancel()


def context_of(request: Request) -> Context:
    """What the guard knows about a request."""
    context: Context = request.scope["state"][CONTEXT]
    return context


def _respond(
    request: Request, content: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """An answer, whose bytes are taken from the budget until it is sent."""
    context_of(request).lease.take(len(content))
    return Response(content, headers=headers, media_type=media_type)


def _all_refused(refusals: Sequence[Refusal]) -> Refusal:
    first = refusals[0]
    if len(refusals) == 1:
        return first
    reason = f"none of the {len(refusals)} pictures can be used; the first: {first.reason}"
    return Refusal(first.status, reason, first.headers)


async def _leave(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _left(until: float) -> float:
    """Seconds, of the event loop's clock."""
    return max(0.0, until - asyncio.get_running_loop().time())
