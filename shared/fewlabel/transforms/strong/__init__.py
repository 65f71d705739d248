"""Augmentation with more than turns and flips: scale, contrast, noise, blur; and strong views of images."""
