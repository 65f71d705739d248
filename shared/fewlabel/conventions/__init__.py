"""What scans and label maps mean by convention: axes, headers, intensities, ignored voxels and sides of the body."""
