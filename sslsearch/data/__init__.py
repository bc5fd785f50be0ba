"""Sources, splits, and the node-wide sample store (Arrow in, tensors out, no copy)."""
