"""What `wellread doctor` looks at: the machine, what is set, and everything the settings name, each by itself."""
