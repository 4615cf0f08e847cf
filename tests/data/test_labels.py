"""Label files: every layout read, written back, and refused with a file and a line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from featherface.data.labels import LabelError, LabelledImage, read_labels, write_labels

POINTS = "15 20 {v} 25 20 {v} 20 25 {v} 16 30 {v} 24 30 {v}"
NO_POINTS = " ".join(["-1"] * 15)
KNOWN = np.array([[15, 20], [25, 20], [20, 25], [16, 30], [24, 30]], np.float32)
RETINA = f"10 10 20 30 {POINTS.format(v='0.0')} "


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def picture(path: Path, size: tuple[int, int] = (40, 100), **options: object) -> Path:
    """A black picture of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1]).save(path, **options)
    return path


# ---- the layout of this project ----------------------------------------------------------------


def test_hard_labels_mark_people_and_ignore_regions(tmp_path: Path) -> None:
    write(
        tmp_path / "labels.txt",
        "# images/a b.jpg",
        f"10.5 10 20 30 {POINTS.format(v=0)} 0",
        f"10 10 20 30 {POINTS.format(v=1)} 2",
        f"1 2 3 4 {NO_POINTS} 1",
        "# images/none.jpg",
        "",
        "# images/c.jpg",
        f"5 6 0 8 {NO_POINTS} 2",
    )
    first, none, last = read_labels(tmp_path)
    assert first.path == tmp_path / "images/a b.jpg"
    assert first.boxes.tolist()[0] == [10.5, 10, 30.5, 40]
    assert first.human_landmarks.tolist() == [True, False, False]
    assert first.ignore.tolist() == [False, False, True]
    assert first.probability.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(first.landmarks[1], KNOWN)
    assert np.isnan(first.landmarks[2]).all()
    assert len(none) == 0
    assert none.landmarks.shape == (0, 5, 2)
    assert last.ignore.tolist() == [True]  # no area
    dtypes = {str(first.boxes.dtype), str(first.landmarks.dtype), str(first.probability.dtype)}
    assert dtypes == {"float32"}


def test_soft_labels_carry_probabilities_and_zero_means_ignore(tmp_path: Path) -> None:
    box = f"1 2 3 4 {NO_POINTS}"
    file = write(tmp_path / "soft.txt", "# a.jpg", f"{box} 3 0.25", f"{box} 2 0", f"{box} 1 0.5")
    (only,) = read_labels(file)
    assert only.probability.tolist() == [0.25, 0, 0]
    assert only.ignore.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1 2 3", "not 3"),
        (f"1 2 3 4 {NO_POINTS}", "19 numbers, but 20 in line 2"),
        (f"1 2 3 4 {NO_POINTS} 2 0.5", "21 numbers, but 20 in line 2"),
        (f"1 2 x 4 {NO_POINTS} 2", "'x' is not"),
        (f"1 nan 3 4 {NO_POINTS} 2", "'nan' is not"),
        (f"1 2 3 1e999 {NO_POINTS} 2", "'1e999' is not"),
        (f"1 2 -3 4 {NO_POINTS} 2", "negative"),
        (f"1 2 3 4 {NO_POINTS} 4", "kind"),
        (f"1 2 3 4 {NO_POINTS} 0.82", "kind"),
        (f"1 2 3 4 {POINTS.format(v=2)} 2", "v of a point"),
        ("#", "no picture is named"),
        ("# a.jpg", "a.jpg was listed in line 1"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    good = f"1 2 3 4 {NO_POINTS} 2"
    file = write(tmp_path / "labels.txt", "# a.jpg", good, line, good)
    with pytest.raises(LabelError, match=re.escape(f"{file}:3: ") + ".*" + re.escape(problem)):
        read_labels(file)


def test_a_probability_has_to_be_one(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.txt", "# a.jpg", f"1 2 3 4 {NO_POINTS} 2 1.5")
    with pytest.raises(LabelError, match=r"labels.txt:2: the probability"):
        read_labels(file)


def test_what_lists_no_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"labels.txt:1: wanted a line '# picture'"):
        read_labels(write(tmp_path / "labels.txt", f"1 2 3 4 {NO_POINTS} 2"))
    with pytest.raises(LabelError, match=r"labels.txt: lists no picture"):
        read_labels(write(tmp_path / "labels.txt", "", " "))
    (tmp_path / "labels.txt").write_bytes(b"# a.jpg\n\xff\xd8\xff")
    with pytest.raises(LabelError, match=r"labels.txt:2: is not UTF-8"):
        read_labels(tmp_path)
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(LabelError, match=r"no labels here: wanted labels.txt"):
        read_labels(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "labels.txt")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    lines = ["# a.jpg", f"1 2 3 4 {NO_POINTS} 2", ""]
    file = tmp_path / "labels.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    (only,) = read_labels(file)
    assert only.path.name == "a.jpg"
    assert len(only) == 1


# ---- RetinaFace --------------------------------------------------------------------------------


def test_retinaface_quality_is_no_kind(tmp_path: Path) -> None:
    file = write(
        tmp_path / "label.txt",
        "# 0--Parade/a.jpg",
        RETINA + "1.0",
        RETINA.replace("0.0", "1.0") + "0",
        f"78 221 7 8 {NO_POINTS.replace('-1', '-1.0')} 0.2",
        f"5 5 -2 9 {NO_POINTS.replace('-1', '-1.0')} -1.0",
    )
    (only,) = read_labels(tmp_path)
    assert only.ignore.tolist() == [False, False, False, True]
    assert only.human_landmarks.tolist() == [True, True, False, False]
    assert (only.boxes[:, 2:] >= only.boxes[:, :2]).all()
    assert only.probability.tolist() == [1, 1, 1, 0]
    write(file, "# a.jpg", RETINA + "0.82", RETINA + "2")
    with pytest.raises(LabelError, match=r"label.txt:3: the quality"):
        read_labels(file)


@pytest.mark.parametrize("line", ["10 10 20 30", RETINA])
def test_retinaface_lines_may_be_shorter(tmp_path: Path, line: str) -> None:
    (only,) = read_labels(write(tmp_path / "label.txt", "# a.jpg", line))
    assert only.boxes.tolist() == [[10, 10, 30, 40]]
    assert only.human_landmarks.tolist() == [line == RETINA]


def test_pictures_are_found_where_they_are(tmp_path: Path) -> None:
    file = write(tmp_path / "label.txt", "# p/gone.jpg", "# p/a.jpg", RETINA + "0.5")
    ours = write(tmp_path / "labels.txt", "# p/a.jpg", f"1 2 3 4 {NO_POINTS} 2")
    assert read_labels(file)[1].path == tmp_path / "images/p/a.jpg"  # the usual place
    assert read_labels(ours)[0].path == tmp_path / "p/a.jpg"
    picture(tmp_path / "images/p/a.jpg")
    assert read_labels(file)[1].path == tmp_path / "images/p/a.jpg"
    assert read_labels(ours)[0].path == tmp_path / "images/p/a.jpg"
    picture(tmp_path / "p/a.jpg")
    assert read_labels(ours)[0].path == tmp_path / "p/a.jpg"
    assert read_labels(file, images=tmp_path / "q")[1].path == tmp_path / "q/p/a.jpg"


# ---- WIDER FACE --------------------------------------------------------------------------------

WIDER = [
    "0--Parade/a.jpg",
    "2",
    "449 330 122 149 0 0 0 0 0 0 ",
    "10 20 -2 4 2 0 0 0 2 0 ",
    "0--Parade/none.jpg",
    "0",
    "0 0 0 0 0 0 0 0 0 0 ",
    "1--Hand/c d.jpg",
    "1",
    "1 2 3 4 2 0 1 1 0 1 ",
]


def test_wider_face_marks_invalid_boxes(tmp_path: Path) -> None:
    file = write(tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt", *WIDER)
    first, none, last = read_labels(file)
    assert first.boxes[0].tolist() == [449, 330, 571, 479]
    assert first.ignore.tolist() == [False, True]
    assert np.isnan(first.landmarks).all()
    assert len(none) == 0
    assert last.ignore.tolist() == [True]
    assert last.path == file.parent / "1--Hand/c d.jpg"
    stored = picture(tmp_path / "WIDER_val/images/0--Parade/a.jpg")
    assert read_labels(file)[0].path.samefile(stored)
    without_dummy = write(tmp_path / "short.txt", *WIDER[:6], *WIDER[7:])
    assert [len(image) for image in read_labels(without_dummy)] == [2, 0, 1]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({1: "3"}, 5),  # takes the next name for a box
        ({1: "1"}, 4),  # takes a box for the next name
        ({3: "1 2 3 4"}, 4),
        ({3: "1 2 3 four 0 0 0 0 0 0"}, 4),
        ({7: "0--Parade/a.jpg"}, 8),
        ({8: "2"}, 8),
        ({8: ""}, 8),
    ],
)
def test_wider_face_errors_name_the_line(tmp_path: Path, change: dict[int, str], line: int) -> None:
    file = write(tmp_path / "gt.txt", *(change.get(i, text) for i, text in enumerate(WIDER)))
    with pytest.raises(LabelError, match=re.escape(f"{file}:{line}: ")):
        read_labels(file)


# ---- COCO --------------------------------------------------------------------------------------

KEYPOINTS = [*(float(text) for text in POINTS.format(v=2).split())]


def coco() -> dict[str, list[dict[str, object]]]:
    return {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3.5, 4]},
            {"image_id": 7, "category_id": 2, "bbox": [10, 10, 20, 30], "keypoints": KEYPOINTS},
            {"image_id": 3, "category_id": 1, "bbox": [5, 6, 7, 8], "iscrowd": 1},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [0] * 51},
        ],
        "categories": [{"id": 1, "name": "with_mask"}, {"id": 2, "name": "bare"}],
    }


def test_coco_boxes_go_to_their_pictures(tmp_path: Path) -> None:
    file = write(tmp_path / "_annotations.coco.json", json.dumps(coco()))
    b, a = read_labels(tmp_path)
    assert [b.path.name, a.path.name] == ["b.jpg", "a.jpg"]
    assert a.boxes.tolist() == [[1, 2, 4.5, 6], [5, 6, 12, 14]]
    assert a.ignore.tolist() == [False, True]
    np.testing.assert_array_equal(b.landmarks[0], KNOWN)
    assert b.human_landmarks.tolist() == [True, False]
    data = coco()
    data["categories"][1]["name"] = "Face"
    data["categories"].append({"id": 3, "name": "face"})  # a parent that no box uses
    b, a = read_labels(write(file, json.dumps(data)))
    assert [len(b), len(a)] == [1, 0]
    data["categories"].pop(1)
    assert [len(image) for image in read_labels(write(file, json.dumps(data)))] == [2, 2]


@pytest.mark.parametrize(
    ("entry", "change", "place"),
    [
        ("images", {"file_name": 5}, "images[1]: "),
        ("images", {"id": 7}, "images[1]: "),
        ("images", {"id": [1]}, "images[1]: "),
        ("annotations", {"image_id": 99}, "annotations[1]: "),
        ("annotations", {"bbox": [1, 2, 3]}, "annotations[1]: "),
        ("annotations", {"bbox": [1, 2, 3, "4"]}, "annotations[1]: "),
        ("annotations", {"bbox": [1, 2, -3, 4]}, "annotations[1]: "),
        ("annotations", {"bbox": [1, 2, 10**400, 4]}, "annotations[1]: "),
        ("annotations", {"bbox": [1, 2, float("nan"), 4]}, "annotations[1]: "),
    ],
)
def test_coco_errors_name_the_entry(
    tmp_path: Path, entry: str, change: dict[str, object], place: str
) -> None:
    data = coco()
    data[entry][1].update(change)
    file = write(tmp_path / "coco.json", json.dumps(data))
    with pytest.raises(LabelError, match=re.escape(f"{file}: {place}")):
        read_labels(file)


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"c.json:2: broken JSON"):
        read_labels(write(tmp_path / "c.json", "{", "oops"))
    with pytest.raises(LabelError, match=r"c.json: .*\"images\""):
        read_labels(write(tmp_path / "c.json", "[]"))
    with pytest.raises(LabelError, match=r"c.json: lists no picture"):
        read_labels(write(tmp_path / "c.json", '{"images": [], "annotations": []}'))


# ---- YOLO --------------------------------------------------------------------------------------


def test_yolo_fractions_become_pixels(tmp_path: Path) -> None:
    pose = " ".join(f"{x / 100} {y / 40}" for x, y in KNOWN.tolist())
    for name in ("a.jpg", "none.png", "sub/c.jpg"):
        picture(tmp_path / "images" / name)
    write(tmp_path / "labels/a.txt", f"0 0.2 0.625 0.2 0.75 {pose}", f"1 0.5 0.5 1 1{' -1' * 10}")
    seen = pose.split()
    seen = [f"{x} {y} {v}" for x, y, v in zip(seen[::2], seen[1::2], "22012", strict=True)]
    write(tmp_path / "labels/sub/c.txt", f"0 0.2 0.625 0.2 0.75 {' '.join(seen)}")
    write(tmp_path / "labels/classes.txt", "face")
    a, none, c = read_labels(tmp_path)
    np.testing.assert_allclose(a.boxes, [[10, 10, 30, 40], [0, 0, 100, 40]], atol=1e-4)
    np.testing.assert_allclose(a.landmarks[0], KNOWN, atol=1e-4)
    assert a.human_landmarks.tolist() == [True, False]
    assert len(none) == 0
    assert c.path == tmp_path / "images/sub/c.jpg"
    assert np.isnan(c.landmarks[0, :, 0]).tolist() == [False, False, True, False, False]


def test_yolo_splits_and_turned_pictures(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(tmp_path / "images/train/a.jpg", (40, 100), exif=turned)
    write(tmp_path / "labels/train/a.txt", "0 0.5 0.5 0.5 0.5")
    for path, images in (
        (tmp_path / "images/train", None),
        (tmp_path / "labels/train", tmp_path / "images/train"),
        (tmp_path, None),
    ):
        (only,) = read_labels(path, images=images)
        assert only.boxes.tolist() == [[10, 25, 30, 75]]  # shown 40 wide and 100 high


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.5", "0 50 60 20 20", "0 0.5 0.5 -0.005 0.5", "0 a 0.5 1 1", "0 0 0 0 nan"]
)
def test_yolo_errors_name_the_line(tmp_path: Path, line: str) -> None:
    picture(tmp_path / "images/a.jpg")
    file = write(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1", line)
    with pytest.raises(LabelError, match=re.escape(f"{file}:2: ")):
        read_labels(tmp_path)


def test_yolo_without_labels_or_sizes(tmp_path: Path) -> None:
    file = picture(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    with pytest.raises(LabelError, match=r"labels: no picture in .* has a label file.*a\.txt"):
        read_labels(tmp_path)
    write(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1")
    file.write_bytes(b"not a picture")
    with pytest.raises(LabelError, match=r"a\.jpg: no size"):
        read_labels(tmp_path)
    file.unlink()
    with pytest.raises(LabelError, match=r"images: holds no picture"):
        read_labels(tmp_path)


# ---- writing -----------------------------------------------------------------------------------


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


@st.composite
def pictures(draw: st.DrawFn, soft: bool) -> list[LabelledImage]:
    names = draw(st.lists(st.sampled_from(["a", "ä b", "c#", "d/e", "1"]), unique=True, min_size=1))
    result = []
    for name in names:
        count = draw(st.integers(0, 4))
        ignore = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
        low = draw(st.lists(numbers(-50, 2000), min_size=2 * count, max_size=2 * count))
        side = draw(st.lists(numbers(1, 900), min_size=2 * count, max_size=2 * count))
        chance = [draw(numbers(0, 1).filter(bool)) if soft else 1.0 for _ in range(count)]
        boxes = np.array([*low, *side], np.float32).reshape(2, count, 2)
        points = np.array(
            [draw(numbers(-50, 2000) | st.just(np.nan)) for _ in range(count * 10)], np.float32
        ).reshape(count, 5, 2)
        points[np.isnan(points).any(axis=2)] = np.nan
        known = np.isfinite(points).all(axis=(1, 2))
        result.append(
            LabelledImage(
                path=Path("images") / f"{name}.jpg",
                boxes=np.concatenate([boxes[0], boxes[0] + boxes[1]], axis=1),
                landmarks=points,
                human_landmarks=known & draw(st.booleans()),
                probability=np.where(ignore, 0, np.array(chance)).astype(np.float32),
                ignore=ignore,
            )
        )
    return result


@pytest.mark.parametrize("soft", [False, True])
@given(data=st.data())
@settings(max_examples=60)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, soft: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    images = [
        LabelledImage(
            folder / image.path,
            image.boxes,
            image.landmarks,
            image.human_landmarks,
            image.probability,
            image.ignore,
        )
        for image in data.draw(pictures(soft))
    ]
    file = folder / "labels.txt"
    write_labels(file, images)
    back = read_labels(file)
    for image, again in zip(images, back, strict=True):
        assert again.path == image.path
        np.testing.assert_allclose(again.boxes, image.boxes, atol=0.006)
        np.testing.assert_allclose(again.landmarks, image.landmarks, atol=0.006)
        np.testing.assert_array_equal(again.human_landmarks, image.human_landmarks)
        np.testing.assert_array_equal(again.probability, image.probability)
        np.testing.assert_array_equal(again.ignore, image.ignore)
    text = file.read_text("utf-8")
    write_labels(file, back)
    assert file.read_text("utf-8") == text
    assert [path.name for path in folder.iterdir()] == ["labels.txt"]


def test_the_kind_tells_who_drew_the_box(tmp_path: Path) -> None:
    box = f"1 2 3 4 {NO_POINTS}"
    file = write(tmp_path / "labels.txt", "# a.jpg", f"{box} 2 1", f"{box} 3 0.5", f"{box} 1 0")
    images = read_labels(file)
    for human, kinds in ((False, "231"), (True, "001")):
        write_labels(file, images, human=human)
        lines = file.read_text().splitlines()[1:]
        assert "".join(line.split()[19] for line in lines) == kinds


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.txt", "# a.jpg", f"1 2 3 4 {NO_POINTS} 2")
    before = file.read_text()
    (good,) = read_labels(file)
    fields = (good.landmarks, good.human_landmarks, good.probability, good.ignore)
    inside_out = good.boxes[:, [2, 1, 0, 3]]
    bad = {
        "at least one picture": [],
        "given twice": [good, good],
        "cannot hold this name": [LabelledImage(tmp_path / "a\nb.jpg", good.boxes, *fields)],
        "surrogates not allowed": [LabelledImage(tmp_path / "\ud800.jpg", good.boxes, *fields)],
        "not finite": [LabelledImage(good.path, good.boxes * np.float32(np.nan), *fields)],
        "turned inside out": [LabelledImage(good.path, inside_out, *fields)],
        "a probability": [
            LabelledImage(good.path, good.boxes, *fields[:2], good.probability * 2, good.ignore)
        ],
    }
    for problem, images in bad.items():
        with pytest.raises(ValueError, match=problem):
            write_labels(file, images)
        assert file.read_text() == before
        assert list(tmp_path.iterdir()) == [file]


def test_shapes_have_to_agree() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg have shapes"):
        LabelledImage(
            path=Path("a.jpg"),
            boxes=np.zeros((2, 4), np.float32),
            landmarks=np.zeros((1, 5, 2), np.float32),
            human_landmarks=np.zeros(2, bool),
            probability=np.zeros(2, np.float32),
            ignore=np.zeros(2, bool),
        )


# ---- anything at all ---------------------------------------------------------------------------

SEEDS = [
    "\n".join(["# images/a.jpg", f"10.5 10 20 30 {POINTS.format(v=0)} 0", "# b.jpg"]),
    "\n".join(["# a.jpg", f"1 2 3 4 {NO_POINTS} 3 0.25", f"1 2 3 4 {NO_POINTS} 1 0"]),
    "\n".join(["# 0--Parade/a.jpg", RETINA + "0.82", RETINA + "1.0"]),
    "\n".join(WIDER),
    json.dumps(coco()),
]
SCRAPS = ["", " ", "\n", "#", "# ", "-", "0", "1", "9", "nan", "inf", "1e400", ".", "\0", "é", "x"]
SCRAPS += ["\r", "\u2028", "[", "]", "{", "}", '"', ",", "null", "true", "1" * 400, "/" * 300, "²"]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + draw(st.sampled_from(SCRAPS)) + text[stop:]
    return text


@given(content=mutated() | st.text() | st.binary())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_parses_or_is_refused_by_file_and_line(
    tmp_path: Path, content: str | bytes
) -> None:
    raw = content.encode() if isinstance(content, str) else content
    file = tmp_path / "labels.txt"
    file.write_bytes(raw)
    check_parses_or_is_refused(file, file, raw)


@given(text=st.text("0123456789.-+e \n\t#xna", max_size=80) | st.text())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_yolo_text_parses_or_is_refused(tmp_path: Path, text: str) -> None:
    if not (tmp_path / "images").exists():
        picture(tmp_path / "images/a.png")
        (tmp_path / "labels").mkdir()
    file = tmp_path / "labels/a.txt"
    file.write_bytes(text.encode())
    check_parses_or_is_refused(tmp_path, file, text.encode())


def check_parses_or_is_refused(path: Path, file: Path, raw: bytes) -> None:
    try:
        images = read_labels(path)
    except LabelError as error:
        message = str(error)
        assert message.startswith(str(file))
        place = re.match(r":(\d+): |: ", message[len(str(file)) :])
        assert place
        if place[1]:
            assert 1 <= int(place[1]) <= raw.count(b"\n") + raw.count(b"\r") + 1
        else:
            whole = ("lists no picture", "broken JSON", "images[", "annotations[", "categories[")
            assert any(word in message for word in (*whole, "COCO", "not UTF-8"))
    else:
        assert images
        for image in images:
            assert np.isfinite(image.boxes).all()
            assert (image.boxes[:, 2:] >= image.boxes[:, :2]).all()
            assert ((image.probability > 0) != image.ignore).all()


# ---- the real files ----------------------------------------------------------------------------


def test_counts_are_those_of_the_tables(shared: Path) -> None:
    faces, more = shared / "data/faces", shared / "data/more"
    parts = {
        name: read_labels(path)
        for name, path in {
            "train": faces / "train",
            "val": faces / "val",
            "grid_train": faces / "grid80/train",
            "grid_val": faces / "grid80/val",
            "more": more / "train",
        }.items()
    }
    assert len(parts["train"]) + len(parts["grid_train"]) == 2170
    assert len(parts["val"]) + len(parts["grid_val"]) == 221
    assert len(parts["more"]) == 1011
    # the first table says 16086: it leaves out 15 faces whose left eye is left of the picture
    tables = [
        ([k for k in parts if k != "more"], 18057, 16101, [1053, 3147, 10777, 2133, 947]),
        (["more"], 15426, 12443, [4937, 6917, 2941, 602, 29]),
    ]
    for names, count, with_landmarks, by_size in tables:
        images = [image for name in names for image in parts[name]]
        faced = [~image.ignore for image in images]
        boxes = np.concatenate([i.boxes[f] for i, f in zip(images, faced, strict=True)])
        points = np.concatenate([i.landmarks[f] for i, f in zip(images, faced, strict=True)])
        assert len(boxes) == count
        assert np.isfinite(points).all(axis=(1, 2)).sum() == with_landmarks
        # the tables are rounded from the same one-decimal boxes, in double precision
        sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).round(1)
        size = np.sqrt(sides.prod(axis=1))
        assert np.histogram(size, [0, 16, 32, 64, 128, np.inf])[0].tolist() == by_size
    assert sum(int(image.ignore.sum()) for image in parts["more"]) == 5430
    assert all(image.path.is_file() for images in parts.values() for image in images)


def test_soft_labels_are_of_the_same_pictures(shared: Path) -> None:
    for folder in (shared / "data/faces/train", shared / "data/more/train"):
        hard, soft = read_labels(folder), read_labels(folder / "labels_soft.txt")
        assert [image.path for image in hard] == [image.path for image in soft]
        chance = np.concatenate([image.probability[~image.ignore] for image in soft])
        assert 0.2 <= chance.min() < 0.5
        assert chance.max() == 1
        for before, after in zip(hard, soft, strict=True):
            assert (after.probability > 0).sum() >= (before.probability > 0).sum()


def test_the_official_validation_boxes_survive_the_text_form(shared: Path, tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy to read the official .mat")
    truth = scipy_io.loadmat(shared / "data/wider_gt/wider_face_val.mat")
    lines: list[str] = []
    boxes, invalid = [], []
    for event, files, marks, flags in zip(
        truth["event_list"][:, 0],
        truth["file_list"][:, 0],
        truth["face_bbx_list"][:, 0],
        truth["invalid_label_list"][:, 0],
        strict=True,
    ):
        for file, box, flag in zip(files[:, 0], marks[:, 0], flags[:, 0], strict=True):
            lines += [f"{event[0]}/{file[0]}.jpg", str(len(box))]
            rows = np.column_stack([box, np.zeros((len(box), 6), int)])
            rows[:, 7] = flag[:, 0]
            lines += [" ".join(map(str, row)) + " " for row in rows]
            boxes.append(box)
            invalid.append(flag[:, 0])
    images = read_labels(write(tmp_path / "wider_face_val_bbx_gt.txt", *lines))
    assert len(images) == 3226
    for image, box, flag in zip(images, boxes, invalid, strict=True):
        empty = (box[:, 2:] <= 0).any(axis=1)
        np.testing.assert_array_equal(image.ignore, (flag != 0) | empty)
        np.testing.assert_array_equal(
            image.boxes[~empty, 2:] - image.boxes[~empty, :2], box[~empty, 2:]
        )
