"""Q-Former Autoencoder for MONAI (arXiv 2507.18481). Importing the package is cheap: parts load where they are used."""

__version__ = "0.1.0"
