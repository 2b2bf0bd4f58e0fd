"""A page that shows how trainings went and what the models do well and badly."""
