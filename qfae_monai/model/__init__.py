"""What a trained model is beside its network: the scans that it was made from."""
