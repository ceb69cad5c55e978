"""EPCIS 2.0 events: the model, its JSON-LD form, its rules, and the CBV 2.0 event hash."""
