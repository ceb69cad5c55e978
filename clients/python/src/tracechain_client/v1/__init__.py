"""Generated from protos/tracechain/v1 by `./dev generate`. Do not edit."""
