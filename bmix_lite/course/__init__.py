"""What only the lessons use: exercises, simulations, deliberate mistakes, published runs."""
