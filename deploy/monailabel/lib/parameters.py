"""What a request may say, key by key: any other key, type or value is refused before it is used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lib.names import label_tag, plain_text, session_id, study_name

StudyName = Annotated[str, AfterValidator(study_name)]
Tag = Annotated[str, AfterValidator(label_tag)]
SessionId = Annotated[str, AfterValidator(session_id)]
MaybeStudy = Annotated[str, AfterValidator(lambda text: text and study_name(text))]
MaybeSession = Annotated[str, AfterValidator(lambda text: text and session_id(text))]
Text = Annotated[str, AfterValidator(plain_text)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Known(BaseModel):
    """Known keys only, and finite numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Nothing(Known):
    """A query without parameters."""


class ByViewer(Known):
    """What MONAI Label's client adds to each of its documents."""

    client_id: Text | None = None


class Listing(Known):
    output: Literal["stats", "all"] = "stats"


class OfImage(Known):
    image: StudyName


class OfImageId(Known):
    id: StudyName


class OfLabel(Known):
    label: StudyName
    tag: Tag


class OfLabelId(Known):
    id: StudyName
    tag: Tag


class ForLabel(Known):
    image: StudyName
    tag: Tag = "final"


class ForInference(Known):
    """Which study: one of the datastore, or of a session; neither where the volume comes along."""

    image: MaybeStudy = ""
    session_id: MaybeSession = ""
    output: Literal["image", "json", "all"] = "all"


class ForBatch(Known):
    images: Literal["all", "labeled", "unlabeled"] = "all"
    run_sync: bool = False


class ForTask(Known):
    run_sync: bool = False
    enqueue: bool = False


class OfTask(Known):
    all: bool = False
    check_if_running: bool = False


class OfSession(Known):
    update_ts: bool = False


class Inference(ByViewer):
    """Parameters of an inference; `result_dtype` is taken, as viewers send it, and not followed: a map stays a map."""

    output_type: Literal["mask", "map"] = "mask"
    pixel_false_positive_rate: Share | None = None
    result_extension: Literal[".nii.gz", ".nii", ".nrrd"] = ".nii.gz"
    result_dtype: Text | None = None
    result_compress: bool = False


class Batch(ByViewer):
    images: Annotated[list[StudyName], Field(max_length=10_000)] | None = None
    output_type: Literal["mask", "map"] = "mask"
    pixel_false_positive_rate: Share | None = None
    max_batch_size: Annotated[int, Field(ge=0)] = 0
    label_tag: Tag = "original"


class Training(ByViewer):
    max_epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    held_out: Share | None = None


class Marks(ByViewer):
    """What a reader says of a study."""

    normal: bool | None = None
    patient: Text | None = None


class Segment(Known):
    name: Text
    idx: Annotated[int, Field(ge=0, le=65_535)] | None = None


class Label(ByViewer):
    label_info: Annotated[list[Segment], Field(max_length=1000)] | None = None
