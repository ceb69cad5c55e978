"""Python's collector of cycles, set for a process that serves.

By default it looks at all young objects each time that 700 more of them live than before. A call
that waits for its commit holds dozens; so a hundred calls at once set it off again and again,
and all that it finds is in use. But gRPC leaves a cycle with every call, and the longer they are
left the longer a collection holds up everybody: some thousands take milliseconds. What the process
was built of stays for good: it is not looked at any more.
"""

from __future__ import annotations

import gc

# Young objects that set off a collection, and how many collections go by until older objects are
# looked at as well: the oldest are caches, which are in use and take long to look at.
_YOUNG, _OLDER, _OLDEST = 5_000, 2, 10_000


def settle() -> None:
    """Called once in a process, when it is built and before it serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDEST)
