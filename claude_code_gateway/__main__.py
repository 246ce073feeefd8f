"""`python -m claude_code_gateway`, which is the program `claude-code-gateway`."""

from wrapper.__main__ import main

if __name__ == "__main__":
    main()
