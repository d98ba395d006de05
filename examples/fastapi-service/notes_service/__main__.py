"""`python -m notes_service`: serves with what the environment says."""

import logging

import uvicorn

from .app import build
from .settings import Settings


def main() -> None:
    settings = Settings.from_environment()
    logging.basicConfig(level=logging.INFO)
    uvicorn.run(build(settings), host="127.0.0.1", port=settings.port)


if __name__ == "__main__":
    main()
