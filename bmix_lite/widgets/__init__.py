"""Controls that redraw a figure in place, also where no kernel runs."""
