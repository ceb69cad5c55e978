"""The transparency log's use cases: its checkpoints, and those who vouch for them."""
