"""An exported graph, opened: a batch of pixels in, the faces of each picture out.

The graph normalises, decodes and suppresses by itself; this file only talks to ONNX Runtime, and
it is the only one of the run-time half that does.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from featherface.metadata import KEY, ModelError, ModelInfo
from featherface.types import Detections, Floats, Integers, Pixels

QUIET = 4
"""ONNX Runtime's log level for what ends the process only; its errors are raised anyway."""

BESIDE = "session.model_external_initializers_file_folder_path"
"""The setting for the folder of files that a graph may name for its weights."""

INPUTS = {
    "images": "tensor(uint8)",
    "score_threshold": "tensor(float)",
    "iou_threshold": "tensor(float)",
    "max_faces": "tensor(int64)",
}
OUTPUTS = {
    "boxes": "tensor(float)",
    "scores": "tensor(float)",
    "landmarks": "tensor(float)",
    "image_index": "tensor(int64)",
}
"""What an exported graph takes and gives, by ONNX Runtime's names of types."""


KEPT_BYTES = 30_000_000
"""glibc keeps freed memory for the next picture up to twice the largest block that it has seen
freed, and gives back the rest, which costs hundreds of page faults a picture. It looks at blocks
of up to 32 MiB; other systems are indifferent to it."""


def open_graph(graph: bytes, *, threads: int) -> Any:
    """An ONNX Runtime session for the CPU, with the settings that all of ours have.

    The graph is all there is: one that keeps weights in files beside it is refused, since without
    this it could name any file in the folder where the process runs.
    """
    import onnxruntime as ort  # here, so that `import featherface` and --help go without

    bytearray(KEPT_BYTES)  # and gone
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = QUIET
    # Threads that wait for work would otherwise keep their cores busy between two pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(BESIDE, os.devnull)
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
        self._source = source
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
        for told, wanted in (
            (self._session.get_inputs(), INPUTS),
            (self._session.get_outputs(), OUTPUTS),
        ):
            found = {each.name: each.type for each in told}
            if found != wanted:
                raise ModelError(
                    f"{source}: takes or gives {found}, wanted {wanted}; "
                    "make the file again with: featherface export"
                )

    def run(
        self, images: Pixels, *, score: float, overlap: float, max_faces: int
    ) -> list[Detections]:
        """Finds the faces of each picture of a batch, best score first.

        Args:
            images: (B, H, W, 3), H and W multiples of 32.
            score: a face scores more than this, 0 to 1.
            overlap: of two boxes with a greater IoU the better one is kept, 0 to 1.
            max_faces: the best so many of each picture are kept.

        Raises:
            ModelError: the graph fails, or gives something else than faces.
            MemoryError: the pictures are too large for it here.
        """
        feed = {
            "images": images,
            "score_threshold": np.array([score], np.float32),
            "iou_threshold": np.array([overlap], np.float32),
            "max_faces": np.array([max_faces], np.int64),
        }
        boxes: Floats  # (N, 4), all pictures of the batch in one
        scores: Floats  # (N,)
        landmarks: Floats  # (N, 5, 2)
        owner: Integers  # (N,), the picture of each face
        try:
            boxes, scores, landmarks, owner = self._session.run(list(OUTPUTS), feed)
            faces = Detections(boxes, scores, landmarks)
        except Exception as error:  # as above; or shapes that are those of no faces
            reason = str(error).strip().splitlines()[0]
            size = f"{images.shape[2]} x {images.shape[1]} pixels"
            if "alloc" in reason.lower():
                raise MemoryError(
                    f"the network has not enough memory for {size}; try tiles (640), or a size"
                ) from error
            raise ModelError(f"{self._source}: fails at {size} ({reason})") from error
        if not all(np.isfinite(values).all() for values in (boxes, scores, landmarks)):
            raise ModelError(
                f"{self._source}: gives numbers that are not finite; train or export it anew"
            )
        return [faces[owner == index] for index in range(len(images))]
