"""Model folders: planning, training, evaluating and opening them."""
