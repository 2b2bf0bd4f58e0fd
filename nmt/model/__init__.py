"""The Transformer of Vaswani et al. (2017), and the recurrent and convolutional ones before it."""
