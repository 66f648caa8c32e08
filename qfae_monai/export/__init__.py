"""The trained method as a file for other runtimes: ONNX and TorchScript, each with a record of its origin."""

from qfae_monai.export.files import SUFFIXES, WrittenGraph, write_graph
from qfae_monai.export.source import ExportSource, read_source

__all__ = ["SUFFIXES", "ExportSource", "WrittenGraph", "read_source", "write_graph"]
