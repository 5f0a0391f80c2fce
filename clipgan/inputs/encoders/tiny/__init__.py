"""The small encoders, which are trained on the data set itself, once, and cached: two CLIPs and a ResNet."""
