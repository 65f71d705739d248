"""VCLIPSeg: a V-Net of two decoders, prompted with embeddings of text."""
