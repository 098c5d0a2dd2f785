"""A Deeper Look at Zero-Cost Proxies (White et al. 2022), its numbers recomputed and extended."""
