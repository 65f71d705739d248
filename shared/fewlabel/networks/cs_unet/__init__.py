"""CS-UNet: convolutional window attention, its feed-forwards, and the stages made of them."""
