"""Backends that run the network, and the devices they run on."""
