"""An ultra-light face detector: boxes and five landmarks from a network of under 1 MB.

`Detector().detect("photo.jpg")` gives `Detections`: boxes, scores and landmarks in pixels.
"""

from featherface.image import ImageError
from featherface.image import load as load_image
from featherface.metadata import ModelError
from featherface.runtime.detector import Detector
from featherface.types import Detections

__version__ = "0.1.0"

__all__ = ["Detections", "Detector", "ImageError", "ModelError", "load_image"]
