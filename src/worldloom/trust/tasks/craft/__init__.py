"""Craft: are policies paid what the world promises?"""
