"""Memory by view: does it know again what it left?"""
