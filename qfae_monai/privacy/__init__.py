"""Pseudonyms, and text without identifiers."""

from qfae_monai.privacy.identifiers import plain_name, reason_of, root_message, without_identifiers
from qfae_monai.privacy.pseudonyms import Pseudonyms, read_or_create_key

__all__ = ["Pseudonyms", "plain_name", "read_or_create_key", "reason_of", "root_message", "without_identifiers"]
