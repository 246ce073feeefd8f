"""The routes: thin views; load, call a service, return."""
