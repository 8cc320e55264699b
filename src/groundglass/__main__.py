"""`python -m groundglass`: the command line."""

from groundglass.cli.main import run

if __name__ == "__main__":
    run()
