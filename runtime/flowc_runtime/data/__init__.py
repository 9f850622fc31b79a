"""Where examples come from: readers of data files, datasets, streams of batches."""
