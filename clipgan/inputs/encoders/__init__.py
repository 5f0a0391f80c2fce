"""Frozen encoders: CLIP and a ResNet, from published weights or trained here on the data set itself."""
