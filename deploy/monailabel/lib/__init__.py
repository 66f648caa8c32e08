"""The parts of the MONAI Label app; MONAI Label finds them under this name."""
