"""Cleaning of crawled pictures: what is wrong with which one, as a list. Nothing is deleted."""
