"""Measurements of the service, as ratios taken side by side in one run: `./dev bench`."""
