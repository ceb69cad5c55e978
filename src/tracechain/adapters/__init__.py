"""Ports made real: stores, caches, keys. Siblings know nothing of each other's servers."""
