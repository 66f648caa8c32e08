"""From what a user points at to results a reader opens: studies found, scored, and written one complete folder each."""
