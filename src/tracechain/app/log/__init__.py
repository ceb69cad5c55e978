"""The transparency log's use cases."""
