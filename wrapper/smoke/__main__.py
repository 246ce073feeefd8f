"""`python -m wrapper.smoke URL`."""

import sys

from wrapper.smoke import main

sys.exit(main(sys.argv[1:]))
