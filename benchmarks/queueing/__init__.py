"""A simulation of the recording path, with measured costs."""
