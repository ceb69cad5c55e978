"""Exporting evidence: what belongs into a bundle, and how it becomes one."""
