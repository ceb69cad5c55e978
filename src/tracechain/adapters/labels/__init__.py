"""Labels as files: SVG, PNG, PDF and ZPL. Each is drawn from the same plan and the same symbol."""
