"""Every network of the zoo, one with ReLU and one with the improved modules, exported once."""

from __future__ import annotations

import pytest
from stirring import Exported, info_of, stirred

from featherface.export.onnx import export_onnx
from featherface.models.zoo import MODELS


@pytest.fixture(
    scope="session", params=[*MODELS, "nano_b_enhanced_dense_relu", "nano_b_enhanced_again"]
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Each network in turn."""
    model = stirred(request.param)
    info = info_of(model)
    path = tmp_path_factory.mktemp("exported") / f"{request.param}.onnx"
    return Exported(model, info, path, export_onnx(model, path, info))
