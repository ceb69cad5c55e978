"""HTTP: the resolver, the pages for people, the published facts. Translates and calls use cases."""
