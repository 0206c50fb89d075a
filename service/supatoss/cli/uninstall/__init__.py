"""`supatoss uninstall`: removes supatoss from a project and keeps its rows."""
