"""`python -m service`: answers deliveries with the settings of the environment."""

from service.cli.serve import serve

if __name__ == "__main__":
    serve()
