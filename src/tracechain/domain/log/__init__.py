"""The transparency log, as texts and arithmetic: no store, no network, no clock."""
