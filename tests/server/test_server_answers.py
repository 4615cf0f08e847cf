"""What the server answers is what the library says."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import BLUR_SCORE, Gate, Serve, Served, picture, serving

from featherface import Detector
from featherface.image import FORMATS, fit
from featherface.runtime.clean import cover_faces
from featherface.runtime.formats import json_array
from featherface.runtime.hide import Cover
from featherface.runtime.record import Record

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def record(detector: Detector, name: str, content: bytes, **options: Any) -> Record:
    """What the command line tells of a picture."""
    fitted = fit(content, long_side=options.pop("size", None))
    return Record(Path(name), fitted.fit.size, detector.find([fitted], **options)[0])


def test_a_picture_gets_the_json_of_the_command_line(served: Served) -> None:
    content = picture(2)
    answer = served.detect(content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == "".join(json_array([record(served.gate, "picture 1", content)]))
    assert len(answer.json()[0]["faces"]) == 2


def test_the_weights_that_ship_say_the_same(toy_graph: Path) -> None:
    detector = Detector()
    gate = Gate(toy_graph)
    gate.find = detector.find  # type: ignore[method-assign]
    content = (ASSETS / "grace_hopper.jpg").read_bytes()
    with serving(gate) as served:
        answer = served.detect(content, params={"score": 0.3, "size": 320})
    wanted = record(detector, "picture 1", content, size=320, score=0.3)
    assert answer.json() == [wanted.to_dict()]
    assert answer.json()[0]["faces"]


def test_exif_orientation_is_applied(served: Served) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (found,) = served.detect(picture(1, "JPEG", exif=exif)).json()
    assert (found["width"], found["height"]) == (64, 96)


def test_one_broken_picture_of_ten_does_not_lose_the_others(served: Served) -> None:
    whole = picture(1, "JPEG", quality=95)
    files = [("picture", (f"{number}.jpg", whole)) for number in range(10)]
    files[3] = ("picture", ("bad.jpg", whole[: len(whole) // 2]))
    answer = served.client.post("/v1/detect", files=files)
    assert answer.status_code == 200
    records = answer.json()
    names = ["0.jpg", "1.jpg", "2.jpg", "bad.jpg", *(f"{number}.jpg" for number in range(4, 10))]
    assert [each["path"] for each in records] == names
    assert set(records.pop(3)) == {"path", "error"}
    assert records == [record(served.gate, each["path"], whole).to_dict() for each in records]


def test_names_are_told_as_they_were_sent(served: Served) -> None:
    names = ["Zoë/☃ 1.png", "../../etc/passwd", ""]
    part = '--x\r\nContent-Disposition: form-data; name="a"; filename="{}"\r\n\r\n'
    parts = [part.format(name).encode() + picture() + b"\r\n" for name in names]
    answer = served.detect(
        b"".join(parts) + b"--x--", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    told = [each["path"] for each in answer.json()]
    assert told == ["Zoë/☃ 1.png", "../../etc/passwd", "picture 3"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_blurred_picture_keeps_its_format(served: Served, form: str) -> None:
    content = picture(1, form)
    answer = served.client.post(
        "/v1/blur", content=content, headers={"Content-Type": Image.MIME[form]}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == Image.MIME[form]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == form
        assert image.size == (96, 64)


def test_blurring_takes_the_options_of_the_command_line(served: Served) -> None:
    content = picture(2)
    options: dict[str, Any] = {"how": "solid", "shape": "box", "margin": 0.1}
    answer = served.client.post(
        "/v1/blur", params=options, content=content, headers={"Content-Type": "image/png"}
    )
    wanted, count = cover_faces(
        content, lambda pixels: served.gate.detect(pixels, score=BLUR_SCORE), Cover(**options)
    )
    assert answer.headers["x-face-count"] == str(count) == "2"
    with Image.open(io.BytesIO(answer.content)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(wanted))


def test_a_form_with_one_picture_is_blurred_too_and_metadata_go(served: Served) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    content = picture(1, "JPEG", exif=exif, comment=b"my house")
    assert b"where I live" in content
    answer = served.client.post("/v1/blur", files={"picture": ("a.jpg", content)})
    assert answer.status_code == 200
    assert b"where I live" not in answer.content
    assert b"my house" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as image:
        assert not image.getexif()


def test_the_process_tells_how_it_is(served: Served) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok"}
    assert served.client.get("/readyz").status_code == 200
    served.desk.is_ready = False
    assert served.client.get("/readyz").status_code == 503


def test_metrics_count_requests_pictures_and_faces(served: Served) -> None:
    files = [("a", ("1", picture(2))), ("a", ("2", picture(1))), ("a", ("3", b"Dear reader"))]
    served.client.post("/v1/detect", files=files)
    served.client.get("/secret/name.jpg")
    lines = served.client.get("/metrics").text.splitlines()
    assert 'featherface_requests_total{route="/v1/detect",status="200"} 1.0' in lines
    assert 'featherface_requests_total{route="other",status="404"} 1.0' in lines
    assert 'featherface_pictures_total{status="200"} 2.0' in lines
    assert 'featherface_pictures_total{status="415"} 1.0' in lines
    assert "featherface_faces_total 3.0" in lines
    assert "featherface_queue_pictures 0.0" in lines
    assert "featherface_held_bytes 0.0" in lines
    assert not [line for line in lines if "secret" in line]


def test_openapi_has_examples_that_work(served: Served, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(picture(1, "JPEG", quality=95))
    paths = served.client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/v1/detect", "/v1/blur", "/healthz", "/readyz", "/metrics"}
    samples = [
        sample["source"]
        for path in paths.values()
        for operation in path.values()
        for sample in operation.get("x-codeSamples", ())
    ]
    assert len(samples) == 3
    outputs = []
    for sample in samples:
        here = sample.replace("http://127.0.0.1:8000", str(served.client.base_url).rstrip("/"))
        command = [*shlex.split(here), "--fail", "--silent"]
        outputs.append(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True))
    one, two = (json.loads(ran.stdout) for ran in outputs[:2])
    assert [len(one), len(two)] == [1, 2]
    assert Image.open(tmp_path / "clean.jpg").size == (96, 64)
    described = paths["/v1/detect"]["post"]["responses"]["200"]["content"]["application/json"]
    assert set(described["example"][0]) == set(one[0])
    assert set(described["example"][0]["faces"][0]) == set(one[0]["faces"][0])


def test_openapi_names_options_with_values_that_are_taken(served: Served) -> None:
    paths = served.client.get("/openapi.json").json()["paths"]
    for path in ("/v1/detect", "/v1/blur"):
        options = {
            each["name"]: each["schema"].get("examples", [each["schema"].get("default")])[0]
            for each in paths[path]["post"]["parameters"]
        }
        answer = served.client.post(path, params=options, files={"picture": picture()})
        assert answer.status_code == 200, answer.text


def test_a_token_is_asked_for_where_there_is_one(serve: Serve) -> None:
    served = serve(token="secret")
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        answer = served.detect(picture(), headers=given)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Bearer TOKEN" in answer.json()["error"]
    right = {"Authorization": "Bearer secret"}
    assert served.detect(picture(), headers=right).status_code == 200
    assert served.client.get("/metrics").status_code == 401
    assert served.client.get("/metrics", headers=right).status_code == 200
    assert served.client.get("/healthz").status_code == 200
    assert served.client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ('"},{"', False), ("", False)],
)
def test_request_ids_are_taken_over_if_well_formed(
    served: Served, given: str, is_taken: bool
) -> None:
    headers = {"X-Request-ID": given}
    good = served.detect(picture(), headers=headers)
    bad = served.detect(b"", headers=headers)
    assert (good.headers["x-request-id"] == given) is is_taken
    assert len(good.headers["x-request-id"]) >= 9
    assert bad.json()["request_id"] == bad.headers["x-request-id"]
    assert (bad.headers["x-request-id"] == given) is is_taken
