"""DK-UXNet: the encoder of 3D UX-Net and k-means mask Transformer layers."""
