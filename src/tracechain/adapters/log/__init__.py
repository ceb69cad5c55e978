"""The transparency log's ways out: other logs over HTTP, and what is kept of them in files."""
