"""Other methods on the same scans: trained on the same normal images, scored and reported as the method is."""

from qfae_monai.experiments.rivals.catalogue import METHODS, Method, find_method
from qfae_monai.experiments.rivals.loading import create_rival, load_rival
from qfae_monai.experiments.rivals.trained import Course, TrainedRival

__all__ = ["METHODS", "Course", "Method", "TrainedRival", "create_rival", "find_method", "load_rival"]
