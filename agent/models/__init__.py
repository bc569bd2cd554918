"""Models, one class a file; each implements `agent.reason.Model`."""
