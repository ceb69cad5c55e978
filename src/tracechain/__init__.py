"""Tracechain: signed product codes, supply-chain events and verification at scan time."""
