"""What is computed, without I/O and without a clock: binning, panes, score, lateness, quantiles."""
