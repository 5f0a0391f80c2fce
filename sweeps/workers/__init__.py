"""The processes of a sweep: a leader, its workers, and the jobs that they launch."""
