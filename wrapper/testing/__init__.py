"""What tests need: a scripted upstream, as strict as the real one."""
