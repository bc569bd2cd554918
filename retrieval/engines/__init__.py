"""Search engines, one class a file; each implements `retrieval.search.SearchEngine`."""
