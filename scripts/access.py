"""Writes docs/access.md: who may call what, from the option that stands next to each RPC.

Promise: the committed table is what the committed protos say, so `--check` may fail a build; and
tests/rpc/test_access.py calls every cell of the table as it stands in the file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from commented import Protos, ProtosError, parsed
from google.protobuf.descriptor_pb2 import MethodDescriptorProto, MethodOptions

from tracechain.v1 import annotations_pb2

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path("docs/access.md")

_INTRODUCTION = """\
# Who may call what

Generated from `option (access)` in [protos](../protos/tracechain/v1) by `./dev generate`; do not
edit. A method without the option keeps the service from starting.

- **✓** The role may call the method, for what is its own: its party's objects, an inspector's those
  of its division and below, an operator's all. Another tenant's object does not exist:
  `NOT_FOUND`, the same answer to the letter as for one that nobody has.
- **·** `PERMISSION_DENIED`, `ROLE_NOT_ALLOWED`, before the request is looked at.
- **anybody** No credential is asked for, and one that is sent is not looked at.
- **reads** The method is in the scope `read`. Every method is in the scopes of its service and of
  its own name (`EventService`, `EventService.CaptureEvents`); a credential with scopes may call
  what its role may *and* one of them holds, else `SCOPE_NOT_ALLOWED`.

tests/rpc/test_access.py calls every cell, by gRPC and by JSON over HTTP; tests/rpc/test_tenancy.py
every method for another tenant's objects.
"""


def render(protos: Protos) -> str:
    """The document."""
    roles = [name for name, _ in protos.enums[".tracechain.v1.Role"].values[1:]]
    lines = [_INTRODUCTION]
    titles = [role.removeprefix("ROLE_").lower() for role in roles]
    for service in sorted(protos.services, key=lambda service: service.name):
        lines += [
            f"## {service.name}",
            "",
            service.comment,
            "",
            f"| method | {' | '.join(titles)} | reads |",
            f"|---|{':-:|' * (len(titles) + 1)}",
            *(f"| {_row(method, roles)} |" for method, _ in service.methods),
            "",
        ]
    return "\n".join(lines)


def _row(method: MethodDescriptorProto, roles: list[str]) -> str:
    access = method.options.Extensions[annotations_pb2.access]
    allowed = {annotations_pb2.Role.Name(role) for role in access.roles}
    cells = ["anybody" if access.public else "✓" if role in allowed else "·" for role in roles]
    is_read = method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return " | ".join([f"`{method.name}`", *cells, "✓" if is_read else "·"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write docs/access.md from protos/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    arguments = parser.parse_args(argv)
    try:
        wanted = render(parsed(ROOT / "protos"))
    except ProtosError as error:
        print(f"access: {error}", file=sys.stderr)
        return 1
    file = ROOT / TARGET
    if arguments.check:
        if not file.is_file() or file.read_text("utf-8") != wanted:
            print(f"access: {TARGET} is not what protos/ says; run ./dev generate", file=sys.stderr)
            return 1
        return 0
    file.write_text(wanted, "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
