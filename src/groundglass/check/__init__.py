"""Input checks: what is wrong with a scan, in plain words, and what to do."""
