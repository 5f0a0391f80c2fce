"""What bench/train_step.py measures against: the same networks, written without a thought for speed."""
