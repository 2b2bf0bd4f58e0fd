"""HTML reports on training runs and on attention."""
