"""Swin-Unet: window attention, the way of tokens through a U-Net, and pretrained weights."""
