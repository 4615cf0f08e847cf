"""The networks: torch only, no files and no data sets."""
