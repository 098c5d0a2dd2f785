"""GreenFactory: from proxy scores to a predicted accuracy."""
