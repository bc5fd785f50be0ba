"""What was learnt, as one HTML page."""
