"""Helpers that the tests share: servers, clients, fake programs and data."""
