"""Use cases and the ports that they need; each module is one thing that somebody wants done."""
