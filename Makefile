# Two commands for a newcomer: `make quickstart` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
RUN := saved_models/quickstart
# Processes that share the tests; each takes about 3 GB of memory.
WORKERS ?= 2

.PHONY: help env quickstart test lint lock clean

help:
	@echo "make quickstart   environment, then train, evaluate, export and predict on generated faces"
	@echo "make test         environment, then linters, type checker and the test suite"
	@echo "make lock         renew requirements.lock from pyproject.toml (needs uv)"
	@echo "make clean        remove the environment, the generated data and the quickstart run"

env: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"ferkeras needs Python 3.11 to 3.13. Received: %d.%d. Name another one: make PYTHON=python3.12 ..." % v)'
	@echo "== environment in $(VENV): about 3 GB, a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

quickstart: env
	@echo "== train: a small VGG11-LSTM-attention on generated faces"
	$(BIN)/python train.py --data-dir $(DATA) $(if $(wildcard $(RUN)/recipe.json),--resume)
	@echo "== evaluate: the test split, whose drawn people the network has never seen"
	$(BIN)/python evaluate.py quickstart --data-dir $(DATA)
	@echo "== export: SavedModel and LiteRT, each compared with the model"
	$(BIN)/ferkeras export quickstart --data-dir $(DATA)
	@echo "== predict: a few pictures of the test split; the file names tell the truth"
	$(BIN)/ferkeras prepare synthetic_faces/still --data-dir $(DATA) --pictures $(DATA)/pictures
	$(BIN)/ferkeras predict quickstart $(DATA)/pictures --detector none --output $(RUN)/predictions.csv
	@cut -d, -f1,11 $(RUN)/predictions.csv
	@echo "== done: everything about the run is in $(RUN), begin with its README.md"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra app --extra litert --extra quantize --extra aggregation --extra serving --extra tensorboard --extra tune --extra video --extra test --extra lint pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) $(DATA) $(RUN)
