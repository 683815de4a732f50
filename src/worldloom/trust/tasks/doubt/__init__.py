"""Doubt: does it know when it does not know?"""
