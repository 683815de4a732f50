"""Return: leave and come back."""
