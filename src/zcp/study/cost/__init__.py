"""What scoring costs: seconds, passes, memory."""
