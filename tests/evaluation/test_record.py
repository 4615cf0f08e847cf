"""Records: what is read back gives the same figures, and only like is compared with like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from plain_wider_face import disturb

from featherface.evaluation import wider_face
from featherface.evaluation.average_precision import measure
from featherface.evaluation.bootstrap import resample
from featherface.evaluation.labelled import PROTOCOL, tallies
from featherface.evaluation.matching import Truth, match
from featherface.evaluation.record import (
    Record,
    RecordError,
    check_comparable,
    read_record,
    write_record,
)
from featherface.evaluation.report import LandmarkError, Report


def truth_of(rng: np.random.Generator, *, wider: bool) -> Truth:
    corner = rng.uniform(0, 500, (12, 5, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 90, (12, 5, 2))], axis=2)
    annotated = [*boxes, *([] if wider else [np.zeros((0, 4))])]
    lists = [rng.choice([0, 4, 6, 7] if wider else [0, 1, 1], len(each)) for each in annotated]
    names = tuple(f"a/{at}" for at in range(len(annotated)))
    return Truth(names, tuple(annotated), tuple(lists))


def record_of(rng: np.random.Generator, *, wider: bool) -> Record:
    truth = truth_of(rng, wider=wider)
    predictions = disturb(truth, rng, alarms=1, decimals=3)
    if wider:
        report = wider_face.evaluate(predictions, truth)
    else:
        matches = match(predictions, truth, border=0)
        landmarks = LandmarkError(0, float("nan"))
        report = Report.of(PROTOCOL, truth, matches, tallies(matches), landmarks)
    return Record(
        detector="toy",
        sha256="",
        data="a",
        conditions="original size",
        command="featherface evaluate a",
        date="2026-01-01T00:00:00+00:00",
        versions={"numpy": "2"},
        report=report,
        samples=resample(report.tallies, resamples=5),
    )


@pytest.mark.parametrize("wider", [False, True])
def test_round_trip_gives_the_same_figures(
    tmp_path: Path, rng: np.random.Generator, wider: bool
) -> None:
    record = record_of(rng, wider=wider)
    write_record(tmp_path / "run.json", record)
    old = read_record(tmp_path / "run.json")
    again = {name: measure(counts) for name, counts in old.tallies().items()}
    assert repr(again) == repr(record.report.measures)  # repr, since NaN is not NaN
    for name, samples in resample(old.tallies(), resamples=5).items():
        assert np.array_equal(samples.ap, record.samples[name].ap, equal_nan=True)
    check_comparable(tmp_path / "run.json", old, record.report)


def test_file_is_strict_json_with_the_figures(tmp_path: Path, rng: np.random.Generator) -> None:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    record = record_of(rng, wider=False)
    write_record(tmp_path / "run.json", record)
    data = json.loads((tmp_path / "run.json").read_text(), parse_constant=refuse)
    assert data["measures"]["all"]["ap"] == record.report.measures["all"].ap
    assert data["measures"][">96"]["ap"] is None  # there are no such faces
    assert data["landmarks"] == {"faces": 0, "mean_error": None}
    assert [each["name"] for each in data["pictures"]] == list(record.report.truth.names)


def test_other_pictures_cannot_be_compared(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "run.json"
    write_record(path, record_of(rng, wider=False))
    old = read_record(path)
    for other in (record_of(rng, wider=False), record_of(rng, wider=True)):
        with pytest.raises(RecordError, match=r"run\.json: is about other"):
            check_comparable(path, old, other.report)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"run\.json"):
        read_record(path)
