"""What is shown of an exam: profile, charts, card, several reports side by side."""
