"""What nbval leaves out, as a pytest plugin."""
