"""Unit tests, in the packages of the code that they test."""
