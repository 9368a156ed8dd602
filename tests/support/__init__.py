"""Servers, clients and readers that several tests use."""
