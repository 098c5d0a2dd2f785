"""What networks are scored on: data sets, batches, and the files that they come from."""
