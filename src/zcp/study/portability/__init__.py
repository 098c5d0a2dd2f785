"""What rounding decides: the study on moved inputs, and as other processors compute it."""
