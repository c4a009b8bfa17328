"""Files and folders: models, checkpoints, runs, and what is fetched from the Hub."""
