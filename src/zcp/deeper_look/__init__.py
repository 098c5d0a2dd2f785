"""A Deeper Look at zero-cost proxies: the second text, reproduced and extended."""
