"""Data recipes: `python -m preprocessing.<recipe> INPUT OUTPUT`."""
