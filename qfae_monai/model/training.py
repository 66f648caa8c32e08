"""From a folder of scans to a complete model: look, plan, split, train, calibrate, evaluate; resumable at each step."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from qfae_monai.files import one_writer, read_object, write_json, write_whole
from qfae_monai.files.configurations import path_text, read_configuration
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.duplicates import grouped
from qfae_monai.model.folder import CALIBRATION, FIGURES, LOCAL, MANIFEST, PLAN, TRAINING, check_free
from qfae_monai.model.plan import Plan
from qfae_monai.model.planning import make_plan
from qfae_monai.model.runs import DATALIST, Data, key_beside
from qfae_monai.model.scan import Found
from qfae_monai.model.split import Split, split, write_datalist
from qfae_monai.model.writer import keep_figures, update_model
from qfae_monai.reading.volume_choice import Choice

STARTED = "started.json"
EVALUATION = "evaluation"
VIEWS = "views"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """User's settings for a training, besides its data.

    Attributes:
        weights: folders to look for pretrained weights in.
        images: budget, how many the training sees in all; None for the plan's own.
        held_out: share of the normal patients that thresholds are taken from.
        false_positive_rate: that thresholds should keep.
        seed: of the split and of every draw.
        include_weights: whether frozen networks become files of the model; None where licence and size allow it.
        group_duplicates: True puts near-duplicates into one section, as if they were of one patient.
    """

    weights: tuple[Path, ...] = ()
    images: int | None = None
    held_out: float = 0.2
    false_positive_rate: float = 0.05
    seed: int = 42
    include_weights: bool | None = None
    group_duplicates: bool | None = None  # None is no: an unfinished training of an earlier version has none


class Training:
    """One training into one model folder; started again with the same arguments, it goes on where it stopped.

    Args:
        data: scans to train on, and labelled ones to test with.
        output: folder of the model.
        wishes: what else was asked for.
        plan: that a user wrote; None to make one.
        named: wishes that were given in so many words, which a plan must not have its own answer to.
        say: called with sentences for the screen.

    Raises:
        ValueError: if the output holds another model, or a training of other scans or wishes; if a wish and the plan
            are about the same.
    """

    def __init__(
        self,
        data: Data,
        output: Path,
        wishes: Wishes,
        *,
        plan: Path | None = None,
        named: Collection[str] = (),
        say: Say = lambda _: None,
    ) -> None:
        self.data, self.output, self.wishes, self.say = data, output, wishes, say
        self.given = None
        if plan is not None:
            self.given = Plan.read(plan, wishes.weights)
            self.given.refuse_beside(named)
        self.local = output / LOCAL
        self._check_same()

    def plan(self) -> Plan:
        """Look at the scans, split their patients, and write plan and data list, unless that is done."""
        if (self.local / DATALIST).is_file():
            self.say("going on with the plan and the split of last time")
            return Plan.read(self.local / PLAN)
        found = self.data.look()
        _say_all(self.say, found.sentences())
        if self.wishes.group_duplicates:
            found, sentence = grouped(found)
            self.say(sentence)
        parted = self._split(found)
        _say_all(self.say, parted.sentences())
        plan = self.given or self._planned(found, parted)
        _say_all(self.say, plan.sentences())
        _say_all(self.say, [f"warning: {warning}" for warning in plan.warnings])
        write_json(self.local / STARTED, self._asked())
        write_whole(self.local / PLAN, plan.text())
        # a folder of this machine must not be passed on
        handed_on = {} if plan.weights is None else {"weights": "models/pretrained"}
        write_whole(self.output / PLAN, plan.text(**handed_on))
        write_datalist(parted, self.local, key=key_beside(self.output))
        return plan

    def steps(self, plan: Plan) -> Iterator[tuple[str, Bundle]]:
        """Run id and bundle of each step that is not done yet, in order."""
        content = read_object(self.local / DATALIST, what="the data list of a training")
        images = plan.axis is None
        names = ["train", *(["datasets/bmad", "datasets/image_list"] if images else [])]
        settings = self._settings(plan)
        if not (self.output / MANIFEST).is_file():  # the manifest is written last: without it there is no model
            resume = last_resumable(self.local)
            resumed = {} if resume is None else {"resume": path_text(resume)}
            yield "training", Bundle(names, settings | resumed)
        settings = {**settings, "changes": {**settings["changes"], **written_score(self.output)}}
        if not (self.output / CALIBRATION).is_file():
            yield "calibrating", Bundle([*names, "evaluate", "calibrate"], settings)
        if content.get("test") and not (self.output / FIGURES).is_file():
            yield "evaluating", Bundle([*names, "evaluate"], settings)

    def run(self) -> Path:
        """All steps; the model folder.

        Raises:
            ValueError, OSError: what was wrong with scans, weights or a plan.
        """
        with one_writer(self.output):
            plan = self.plan()
            for run_id, bundle in self.steps(plan):
                self.say(run_id)
                bundle.run(run_id, quiet=True)
                if run_id == "evaluating":
                    keep_figures(self.output, self.local / EVALUATION)
            for old in self.local.glob("resume_*.pt"):  # three times the model's size, and needed no more
                old.unlink()
            shutil.rmtree(self.local / VIEWS, ignore_errors=True)  # gigabytes
            update_model(self.output)
        return self.output

    def _settings(self, plan: Plan) -> dict[str, Any]:
        settings = plan.settings()
        if plan.axis is None:
            settings.pop("intensity")  # images are scaled by their depth
        return {
            **settings,
            "model_dir": path_text(self.output.resolve()),
            "dataset_dir": path_text(self.local.resolve()),
            "include_weights": self.wishes.include_weights,
            "false_positive_rate": plan.false_positive_rate,
        }

    def _split(self, found: Found) -> Split:
        seed, share, rate = self.wishes.seed, self.wishes.held_out, self.wishes.false_positive_rate
        if self.given is not None:
            seed, share, rate = self.given.seed, self.given.held_out, self.given.false_positive_rate
        return split(found, seed, share=share, false_positive_rate=rate)

    def _planned(self, found: Found, parted: Split) -> Plan:
        memory = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None  # bytes
        wishes = self.wishes
        return make_plan(
            found,
            parted,
            device_memory=memory,
            cores=os.cpu_count() or 1,
            weights_dirs=wishes.weights,
            images=wishes.images,
            held_out=wishes.held_out,
            false_positive_rate=wishes.false_positive_rate,
            seed=wishes.seed,
        )

    def _asked(self) -> dict[str, Any]:
        places = {key: str(value) if value else None for key, value in asdict(self.data).items()}
        wishes = {**asdict(self.wishes), "weights": [str(folder.resolve()) for folder in self.wishes.weights]}
        return {
            **places,
            "path": str(self.data.path.resolve()),
            **wishes,
            "plan": None if self.given is None else self.given.values(),
        }

    def _check_same(self) -> None:
        started = self.local / STARTED
        if not started.is_file():  # a new training
            check_free(self.output)
            return
        # by way of JSON, which makes lists of tuples
        then, now = read_object(started), json.loads(json.dumps(self._asked()))
        different = [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in now if then.get(key) != now.get(key)]
        if different:
            raise ValueError(
                f"{self.output}: expected a new folder, or the training that began in it, got one of other arguments "
                f"({'; '.join(different)})"
            )


def train(
    scans: str | os.PathLike,
    output: str | os.PathLike,
    *,
    abnormal: str | os.PathLike | None = None,
    masks: str | os.PathLike | None = None,
    patient: str | None = None,
    image: str | None = None,
    volume: Choice = None,
    include: Sequence[str] = (),
    plan: str | os.PathLike | None = None,
    weights: Sequence[str | os.PathLike] = (),
    say: Say = lambda _: None,
    **wishes: Any,
) -> Path:
    """Look at scans, plan, split by patient, train, calibrate and, where labels are given, evaluate: `qfae train`.

    Args:
        scans: folder of normal scans, data list, prepared folder or BIDS data set.
        output: folder of the model.
        abnormal, masks: folders of abnormal scans and of lesion masks, to test with.
        patient: regular expression that tells the patient from a name.
        image: shell pattern of the scans to take where several kinds lie together.
        volume: of series that have several; `all` makes a scan of each.
        include: kinds that are no scans, and are wanted all the same.
        plan: file to follow instead of a new plan; what it has an answer to is no wish beside it.
        weights: folders of pretrained weights; beside a plan one, which counts in the place of its own.
        say: called with sentences on what is found and planned.
        wishes: `images`, `held_out`, `false_positive_rate`, `seed`, `include_weights`, `group_duplicates`, as in
            `Wishes`.

    Returns:
        The model folder.

    Raises:
        FileNotFoundError, ValueError: as `Training`.
    """
    ill, lesions = (None if path is None else Path(path) for path in (abnormal, masks))
    data = Data(Path(scans), ill, lesions, patient, image, volume, tuple(include))
    wanted = Wishes(weights=tuple(map(Path, weights)), **wishes)
    given = None if plan is None else Path(plan)
    return Training(
        data,
        Path(output),
        wanted,
        plan=given,
        named=[name for name, value in wishes.items() if value is not None],
        say=say,
    ).run()


def written_score(model: Path) -> dict[str, Any]:
    """How a finished model scores, by the names of its settings; nothing before it is finished.

    What a training chose, and the preset's numbers of the version that it was finished with.
    """
    if not (model / TRAINING).is_file():
        return {}
    numbers = read_configuration(model / TRAINING)["model"]
    return {name: value for name, value in numbers.items() if name.startswith("score_")}


def last_resumable(folder: Path) -> Path | None:
    """The checkpoint of the latest epoch that an interrupted training left; None before the first."""
    epochs = {
        int(path.stem.rpartition("=")[2]): path
        for path in folder.glob("resume_checkpoint_epoch=*.pt")
        if path.stem.rpartition("=")[2].isdecimal()
    }
    return epochs[max(epochs)] if epochs else None


def _say_all(say: Say, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        say(sentence)
