"""An exported graph, opened: a batch of pixels in, the faces of each picture out.

The graph normalises, decodes and suppresses by itself; this file only talks to ONNX Runtime, and
it is the only one of the run-time half that does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from featherface.metadata import KEY, ModelError, ModelInfo
from featherface.types import Detections, Floats, Integers, Pixels

QUIET = 3
"""ONNX Runtime's log level for errors only."""


def open_graph(graph: bytes | Path, *, threads: int) -> Any:
    """An ONNX Runtime session for the CPU, with the settings that all of ours have."""
    import onnxruntime as ort  # here, so that `import featherface` and --help go without

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    # Threads that wait for work would otherwise keep their cores busy between two pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])


class Session:
    """An open graph. Safe to use from several threads at once.

    Attributes:
        info: what the graph says about itself.
    """

    info: ModelInfo

    def __init__(self, graph: bytes, *, source: str, threads: int = 1) -> None:
        """Opens a graph that `featherface export` has made.

        Args:
            graph: the content of the .onnx file.
            source: its name, for messages.
            threads: threads that share the work on one batch.

        Raises:
            ModelError: not a graph, or not one of ours.
        """
        try:
            self._session = open_graph(graph, threads=threads)
        except ImportError:  # no fault of the graph's
            raise
        except Exception as error:  # ONNX Runtime's errors have no common parent of their own
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"{source}: is not an ONNX graph that can be run ({reason}); "
                "make the file again with: featherface export"
            ) from error
        entries = self._session.get_modelmeta().custom_metadata_map
        self.info = ModelInfo.from_json(entries.get(KEY), source=source)

    def run(
        self, images: Pixels, *, score: float, overlap: float, max_faces: int
    ) -> list[Detections]:
        """Finds the faces of each picture of a batch, best score first.

        Args:
            images: (B, H, W, 3), H and W multiples of 32.
            score: a face scores more than this, 0 to 1.
            overlap: of two boxes with a greater IoU the better one is kept, 0 to 1.
            max_faces: the best so many of each picture are kept.
        """
        boxes: Floats  # (N, 4), all pictures of the batch in one
        scores: Floats  # (N,)
        landmarks: Floats  # (N, 5, 2)
        owner: Integers  # (N,), the picture of each face
        boxes, scores, landmarks, owner = self._session.run(
            ["boxes", "scores", "landmarks", "image_index"],
            {
                "images": images,
                "score_threshold": np.array([score], np.float32),
                "iou_threshold": np.array([overlap], np.float32),
                "max_faces": np.array([max_faces], np.int64),
            },
        )
        faces = Detections(boxes, scores, landmarks)
        return [faces[owner == index] for index in range(len(images))]
