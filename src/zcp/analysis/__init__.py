"""How good a score is: metrics and their intervals."""
