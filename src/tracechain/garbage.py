"""Python's collector of cycles, set for a process that serves.

By default it looks at all young objects each time that 700 more of them live than before. A call
that waits for its commit holds dozens; so a hundred calls at once set it off again and again,
and all that it finds is in use. What the process was built of stays for good: it is not looked at
any more. Cycles are still collected, later and more of them at once.
"""

from __future__ import annotations

import gc

# Young objects that set off a collection: some MiB of them, a few times a second under load.
_YOUNG = 50_000


def settle() -> None:
    """Called once in a process, when it is built and before it serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
