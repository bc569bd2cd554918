"""How `wellread ask` shows an answer: on a terminal, in a pipe, as JSON. Knows no HTTP."""
