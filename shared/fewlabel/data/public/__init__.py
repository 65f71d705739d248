"""Public datasets in our layout, with the splits that papers published."""
