"""What a sweep shows: progress, the table at its end, MLflow's run of the study."""
