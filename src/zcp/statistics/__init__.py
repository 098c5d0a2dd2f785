"""The passes over one network: what proxies read."""
