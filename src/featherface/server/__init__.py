"""Finding and blurring faces over HTTP: FastAPI around one detector, bounded in every direction."""
