"""What is there only because a processor likes it; each piece computes what a plain line would."""
