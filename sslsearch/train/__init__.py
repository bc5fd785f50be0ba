"""Recipe -> stream of reports: build, loop, optimiser, checkpoint. No Ray, no MLflow."""
