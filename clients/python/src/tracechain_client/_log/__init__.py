"""Copied from src/tracechain/domain by `./dev generate`. Do not edit."""
