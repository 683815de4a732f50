"""Control: does it do what it is told?"""
