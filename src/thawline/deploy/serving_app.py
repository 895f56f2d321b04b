"""The HTTP API of a model: FastAPI routes over dynamic batches."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import torch
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from torch import Tensor

from thawline import __version__
from thawline.deploy.loaded import Model, Prediction
from thawline.deploy.serving_answers import About, Answers, Health, Problem, answer_of
from thawline.deploy.serving_batches import Batches
from thawline.deploy.serving_docs import routes_page
from thawline.deploy.serving_explain import Explanations, can_explain, explained
from thawline.deploy.serving_guard import Guard
from thawline.deploy.serving_images import Limits, prepared
from thawline.deploy.serving_metrics import Metrics
from thawline.machine.processes import num_cores
from thawline.printable import printable

_MULTIPART = "multipart/form-data"
_RAW_NAME = "body"  # what messages call an image that came without a name
_TOP = 5
_BINARY = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _BINARY},
            _MULTIPART: {"schema": {"type": "object", "properties": {"files": {"type": "array", "items": _BINARY}}}},
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": why}
    for code, why in {
        400: "The request is not as described here, or holds too many images",
        408: "The body did not arrive in time",
        413: "The body is too large",
        503: "Too busy; try again",
    }.items()
}
# The page may load nothing but what this server sends.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "content-security-policy": _PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
Row = tuple[str, Tensor | str]  # name, and the prepared image or why there is none


class Service:
    """A model with the threads and batches that serve it."""

    def __init__(self, model: Model, *, limits: Limits, largest: int, wait_s: float) -> None:
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self.begun = time.monotonic()
        origin = model.description.provenance
        self.name = f"{origin.strategy} of {model.description.architecture.backbone} for {origin.data}"
        self._decoders = ThreadPoolExecutor(num_cores(), "decode")
        self.thread = ThreadPoolExecutor(1, "model")  # one at a time uses the model
        self.explanations = Explanations(self.thread)
        self.batches: Batches[Row, Prediction] = Batches(
            self._predict, self.thread, largest, wait_s, self.metrics.batch_size.observe
        )

    @contextlib.asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        batching = asyncio.create_task(self.batches.run())
        try:
            yield
        finally:
            batching.cancel()
            for threads in (self._decoders, self.thread):
                threads.shutdown(wait=False, cancel_futures=True)

    def warm_up(self) -> None:
        """Compute a batch of one and a full one, so that the first request is as fast as the others."""
        size = self.model.description.preprocessing.size
        for number in (1, self.batches.largest):
            self._predict([("", torch.zeros(3, size, size, dtype=torch.uint8))] * number)

    def _predict(self, rows: list[Row]) -> Sequence[Prediction]:
        return self.model.answered(rows, top=len(self.model.class_names))

    async def row(self, name: str, data: bytes) -> Row:
        def read() -> Tensor | str:
            return prepared(self.model, data, name=name or _RAW_NAME, max_pixels=self.limits.max_pixels)

        image = await asyncio.get_running_loop().run_in_executor(self._decoders, read)
        self.metrics.images.labels("unreadable" if isinstance(image, str) else "answered").inc()
        return name, image

    async def predicted(self, name: str, data: bytes) -> Prediction:
        row = await self.row(name, data)
        return Prediction(name, error=row[1]) if isinstance(row[1], str) else await self.batches.answer(row)


async def sent_images(request: Request, limits: Limits) -> list[tuple[str, bytes]]:
    """(name, content) of the images in the body: the files of a form, or the body itself.

    Raises:
        HTTPException: There is none, there are too many, or the form is damaged.
    """
    if not request.headers.get("content-type", "").lower().startswith(_MULTIPART):
        body = await request.body()
        if not body:
            raise HTTPException(400, "send an image as the body, or files as multipart/form-data")
        return [("", body)]
    async with request.form(max_files=limits.max_images, max_fields=limits.max_images) as form:
        uploads = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not uploads:
            raise HTTPException(400, "the form holds no file; send one as `files`")
        return [(printable(upload.filename or ""), await upload.read()) for upload in uploads]


def make_app(service: Service) -> FastAPI:
    """The application of one model: /predict, /explain, /model, /health, /metrics, /openapi.json, pages / and /docs."""
    app = FastAPI(
        title="Thawline",
        description=service.name,
        version=__version__,
        lifespan=service.running,
        docs_url=None,  # Swagger's and Redoc's pages load scripts from elsewhere; /docs is a page of ours
        redoc_url=None,
    )
    _add_model_routes(app, service)
    _add_watching_routes(app, service)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _bad_query)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    app.add_middleware(Guard, limits=service.limits, metrics=service.metrics, paths=paths)
    return app


def _add_model_routes(app: FastAPI, service: Service) -> None:
    @app.post("/predict", openapi_extra=_BODY, responses={**_REFUSALS, 422: {"model": Answers}})
    async def predict(request: Request, response: Response, top: int = Query(_TOP, ge=1)) -> Answers:
        """Classes of one image, or of several. 422 where none of them could be read."""
        images = await sent_images(request, service.limits)
        predictions = await asyncio.gather(*(service.predicted(name, data) for name, data in images))
        if all(one.error is not None for one in predictions):
            response.status_code = 422
        return Answers(predictions=[answer_of(one, top=top) for one in predictions])

    png: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
    png |= {422: {"model": Problem}, 501: {"model": Problem}, **_REFUSALS}

    @app.post("/explain", openapi_extra=_BODY, responses=png, response_class=Response)
    async def explain(request: Request, label: str = Query(description="A class of the model")) -> Response:
        """A PNG of what the model saw, with those places in colour that made it think of the class."""
        if not can_explain():
            raise HTTPException(501, "this version of Thawline makes no heatmaps")
        names = list(service.model.class_names)
        if label not in names:
            raise HTTPException(400, f"label={printable(label)}: no class of this model; see /model")
        with service.explanations.place():
            ((name, data), *others) = await sent_images(request, service.limits)
            if others:
                raise HTTPException(400, "one image at a time")
            _, image = await service.row(name, data)
            if isinstance(image, str):
                raise HTTPException(422, image)
            picture = await service.explanations.made(explained(service.model, image, names.index(label)))
        return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})


def _add_watching_routes(app: FastAPI, service: Service) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        text = (files("thawline.deploy") / "serving_page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers=_PAGE_HEADERS)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(routes_page(app.openapi()), headers=_PAGE_HEADERS)

    @app.get("/health")
    async def health() -> Health:
        """Whether the server answers."""
        uptime = time.monotonic() - service.begun
        return Health(status="ok", version=__version__, model=service.name, uptime_s=round(uptime, 1))

    @app.get("/model")
    async def model() -> About:
        """The model, and the limits of a request."""
        described, limits = service.model.description, service.limits
        return About(
            model=service.name,
            version=__version__,
            class_names=list(described.class_names),
            image_size=described.preprocessing.size,
            data=described.provenance.data,
            calibrated=bool(described.calibration.by),
            explain=can_explain(),
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
            max_images=limits.max_images,
        )

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters and times in the text format of Prometheus."""
        service.metrics.waiting.set(service.batches.num_waiting)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _bad_query(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return JSONResponse({"detail": said}, 400)
