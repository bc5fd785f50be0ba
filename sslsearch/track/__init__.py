"""Where results go while they come in: MLflow, the console, pictures."""
