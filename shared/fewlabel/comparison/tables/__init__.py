"""What the runs of a comparison say together: tables, intervals, pictures."""
