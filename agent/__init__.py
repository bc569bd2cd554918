"""From a question to a cited answer. Knows `retrieval`, knows no HTTP server."""
