"""The ground floor: files that anyone may have written are read as data, checked, and shown as plain text."""

from qfae_monai.files.printable import printable, shown
from qfae_monai.files.reading import parse_object, read_json, read_object, read_rows, reading_as
from qfae_monai.files.schema import checked

__all__ = ["checked", "parse_object", "printable", "read_json", "read_object", "read_rows", "reading_as", "shown"]
