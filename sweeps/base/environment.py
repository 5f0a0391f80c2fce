"""The environment variables by which a leader, its workers and their jobs find each other."""

# The storage's URL may hold a password, so only the environment carries it. The other variables of a job travel in
# `hydra.job.env_set`: any launcher hands them to the job, and Hydra takes them back when the job ends.
STORAGE = "SWEEPS_STORAGE"
STUDY = "SWEEPS_STUDY"
TRIAL = "SWEEPS_TRIAL"
PARENT_RUN = "SWEEPS_PARENT_RUN"
ORDERS = "SWEEPS_ORDERS"  # makes a process a worker
GRACE = "SWEEPS_GRACE"  # of a job that Slurm runs: seconds without a heartbeat of its sweep after which it stops
DETACHED = "SWEEPS_DETACHED"  # makes a process the leader of a detached sweep on a node of a cluster
