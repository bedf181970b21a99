"""The command line and what stands behind it. No notebook imports it."""
