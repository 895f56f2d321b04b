"""The JSON that the server sends, as OpenAPI describes it."""

from pydantic import BaseModel, Field

from thawline.deploy.loaded import Prediction


class ClassProbability(BaseModel):
    label: str
    probability: float


class Answer(BaseModel):
    """The answer to one image."""

    path: str = Field(description="Name of the file, as it was sent")
    label: str | None = Field(description="The likeliest class; null where the image could not be read")
    probability: float | None = Field(description="Of `label`, calibrated")
    entropy: float | None = Field(description="Of the probabilities, in nats: 0 is certain")
    unknown_score: float | None = Field(
        description="0 to 1: how far the image lies from the classes; null where the model does not tell"
    )
    unknown: bool | None = Field(
        description="Whether the image lies too far from all classes; null where the model has no threshold"
    )
    top: list[ClassProbability] = Field(description="The likeliest classes, the first first")
    set: list[str] | None = Field(
        description="The classes of which one is right for 90 % of images like the run's, the likeliest first; "
        "null where the model has no threshold"
    )
    error: str | None = Field(description="Why there is no answer")


class Answers(BaseModel):
    predictions: list[Answer] = Field(description="One for each image, in the order that they were sent in")


class Problem(BaseModel):
    detail: str


class Health(BaseModel):
    status: str
    version: str
    model: str
    uptime_s: float


class About(BaseModel):
    """The model, and what may be asked of it."""

    model: str
    version: str
    class_names: list[str]
    image_size: int
    data: str
    calibrated: bool
    explain: bool = Field(description="Whether /explain works")
    max_bytes: int
    max_pixels: int
    max_images: int


def answer_of(prediction: Prediction, *, top: int) -> Answer:
    likeliest = [ClassProbability(label=label, probability=p) for label, p in prediction.top[:top]]
    return Answer(
        path=prediction.path,
        label=prediction.label,
        probability=prediction.probability,
        entropy=prediction.entropy,
        unknown_score=prediction.unknown_score,
        unknown=prediction.unknown,
        top=likeliest,
        set=None if prediction.set is None else list(prediction.set),
        error=prediction.error,
    )
