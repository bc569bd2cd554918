"""From queries to ranked passages. Knows no model and no HTTP server; `ls` reads as the pipeline."""
