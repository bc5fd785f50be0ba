"""One file per kind of data: its schema, how it becomes tensors, what fits it by default."""
