"""The Transformer (Vaswani et al. 2017), and its recurrent and convolutional predecessors."""
