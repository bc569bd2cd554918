"""The shapes of the wire: requests of clients -> questions, events and readings -> replies. Pure; one file a shape."""
