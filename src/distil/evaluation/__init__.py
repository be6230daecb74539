"""Numbers and tables of finished runs: metrics, learning curves, statistics, plots. Nothing here reads a run or a model."""
