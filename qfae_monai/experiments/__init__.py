"""The paper's tables as configuration: rows, the driver over seeds, and published checkpoints in two readings."""
