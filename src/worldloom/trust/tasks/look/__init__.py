"""Look: can dream be told from recording?"""
