"""The most that one thread of this machine computes in ONNX Runtime."""

from __future__ import annotations

import math
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

PROVIDER = "CPUExecutionProvider"
SIDE, WIDTH, KERNEL = 80, 64, 3
ROWS = 1024


def peak_flops(*, runs: int = 30) -> float:
    """Floating-point operations a second: the better of two tasks that have all in their favour.

    They are a product of matrices of 1024 x 1024, and a 3x3 convolution from 64 to 64 channels of
    80 x 80 places; a multiplication with addition is two operations.

    Args:
        runs: of each task; the quickest counts.
    """
    product = _quickest("MatMul", (ROWS, ROWS), (ROWS, ROWS), runs)
    picture, weight = (1, WIDTH, SIDE, SIDE), (WIDTH, WIDTH, KERNEL, KERNEL)
    convolution = _quickest("Conv", picture, weight, runs, pads=[KERNEL // 2] * 4)
    return max(2 * ROWS**3 / product, 2 * SIDE**2 * math.prod(weight) / convolution)


def _quickest(
    operator: str,
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    runs: int,
    **attributes: list[int],
) -> float:
    """Seconds."""
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], **attributes)],
        operator,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(rng.random(weight, np.float32), "w")],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, [PROVIDER])
    feed = {"x": rng.random(shape, np.float32)}
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return min(times)
