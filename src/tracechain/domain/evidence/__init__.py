"""Evidence bundles: a file that anybody verifies offline against keys that he got elsewhere."""
