"""A request becomes turns: it is checked, admitted, run, recorded and remembered."""
