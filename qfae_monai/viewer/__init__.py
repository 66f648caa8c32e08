"""The page that shows what `qfae predict` wrote: image, anomaly map and mask, in a browser on the same machine."""
