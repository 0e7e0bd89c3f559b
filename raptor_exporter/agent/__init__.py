"""The long-running process: loops that refresh, probe, clean up and reload."""
