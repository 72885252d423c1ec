"""What runs the network: PyTorch, OpenVINO, and the devices."""
