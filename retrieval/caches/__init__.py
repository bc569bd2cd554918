"""Where a cache keeps its entries: one store a file."""
