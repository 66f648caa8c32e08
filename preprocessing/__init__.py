"""Data recipes, one file a data set: `qfae prepare NAME INPUT OUTPUT`; in a wheel, `qfae_monai.preprocessing`."""
