"""Ways to order the best passages once more, one class a file."""
