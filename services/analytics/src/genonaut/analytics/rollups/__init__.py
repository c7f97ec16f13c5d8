"""What all hourly rollups share: hours, and histograms of durations."""
