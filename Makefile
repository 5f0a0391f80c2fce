# `make help` lists the targets. Everything runs in .venv, which `make setup` makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= shapes
PORT ?= 5000
ARGS ?=
LOCKED ?=
TORCH ?=# cpu, or a version of CUDA, as cu128: wheels of PyTorch's own index, which pip must know (PIP_EXTRA_INDEX_URL); empty: what PyPI has
WHEELS = $(foreach package,torch torchvision,$(shell sed -n 's/^\($(package)==.*\)/\1+$(TORCH)/p' constraints.txt))
LOWEST := .venv-lowest
NUMERIC = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(if $(ARGS),,$(shell grep -rlw numeric tests --include='test_*.py'))
SHARED := cache_dir=% clip=% data.% device=% mlflow.% resolution=%# of ARGS: where things lie, and what data and CLIP are
export OMP_WAIT_POLICY ?= PASSIVE# spinning threads of two processes stop each other
export PYTHONDONTWRITEBYTECODE =# where it is set, each process of a sweep compiles clipgan anew

.DEFAULT_GOAL := help
.PHONY: help setup lock demo demo-simclr test test-all test-numeric test-lowest lint comments audit check release-check ui sweep-h sweep-C_it sweep-C_ii study report bench quality bench-fid bench-cost bench-sweep bench-prepare bench-simclr gpu-check screenshots cache-info cache-clean clean

help: ## list the targets
	@grep -hE '^[a-zA-Z_-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: $(BIN)/.installed$(LOCKED:%=-locked) ## make .venv and install clipgan with its tools (LOCKED=1: the versions that the tests ran with; TORCH=cpu: PyTorch without CUDA, a third of the size)

# compileall: what pip would do on one core, without the tests of packages; some have templates that are no Python
$(BIN)/.installed $(BIN)/.installed-locked: pyproject.toml $(if $(LOCKED),constraints.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "clipgan needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(if $(TORCH),$(BIN)/python -m pip install --no-compile $(WHEELS))
	$(BIN)/python -m pip install --no-compile $(if $(LOCKED),--constraint constraints.txt) --editable '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $(BIN)/.installed $@

lock: setup ## write the versions that are installed here to constraints.txt
	$(BIN)/python .ci/lock.py > constraints.tmp
	mv constraints.tmp constraints.txt

demo: setup ## prepare data and encoders, sweep h=0.1,0.5,2, print the table (DATA=emoji: real pictures)
	$(BIN)/python -m clipgan.prepare data=$(DATA) $(ARGS)
	$(BIN)/python train.py -m loss=symmetric h=0.1,0.5,2 data=$(DATA) $(ARGS)
	@echo "MLflow UI: make ui, then open http://127.0.0.1:$(PORT) and choose Model training"

demo-simclr: setup ## pretrain an encoder with CLIP's help, then a GAN with it as its ResNet space
	$(BIN)/python train.py task=simclr data=$(DATA) pairs=add_new_positive epochs=10 $(ARGS)
	$(BIN)/python train.py resnet=simclr resnet.run=latest data=$(DATA) $(filter $(SHARED),$(ARGS))

test: setup ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: setup ## run all tests, also those that take minutes
	$(BIN)/python -m pytest -m '' $(ARGS)

test-numeric: setup ## run the numeric tests with the instructions of older processors
	ATEN_CPU_CAPABILITY=default $(NUMERIC) -m 'numeric and not exact and not slow and not endurance' $(ARGS)
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(NUMERIC) -m 'numeric and not exact and not endurance' $(ARGS)

test-lowest: ## run the fast tests in another environment, with the lowest versions that pyproject.toml names
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet packaging
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --constraint $(LOWEST)/lowest.txt --editable '.[dev]'
	$(LOWEST)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slow and not endurance' $(ARGS)

lint: setup ## run ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto

comments: setup ## copy the comments behind the fields of clipgan/config/ into conf/
	$(BIN)/python -m clipgan.config.comments

audit: setup ## look up known vulnerabilities of the dependencies (pip-audit); skipped without access to PyPI's advisories
	@$(BIN)/pip-audit --local --skip-editable 2> $(VENV)/audit.log && status=0 || status=$$?; \
	if grep -q requests.exceptions $(VENV)/audit.log; then echo "audit skipped: the advisories cannot be reached"; \
	else cat $(VENV)/audit.log >&2; exit $$status; fi

check: lint audit test ## lint, audit and test

release-check: setup ## build wheel and sdist; install the wheel in a fresh environment; sweep, sample and report with it
	.ci/release-check $(BIN)/python

ui: setup ## open MLflow's pages on loopback, at PORT (default 5000)
	$(BIN)/mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db} --host 127.0.0.1 --port $(PORT)

sweep-h: setup ## sweep the notes' five values of h
	$(BIN)/python train.py -m grid=h data=$(DATA) $(ARGS)

sweep-C_it: setup ## sweep the notes' five values of C_it
	$(BIN)/python train.py -m grid=C_it data=$(DATA) $(ARGS)

sweep-C_ii: setup ## sweep the notes' five values of C_ii
	$(BIN)/python train.py -m grid=C_ii data=$(DATA) $(ARGS)

study: setup ## the source notes' study in small, on shapes and on emoji: structures, weights, pairs (three and a half hours of one core)
	$(BIN)/python train.py -m experiment=study data=shapes $(ARGS)
	$(BIN)/python train.py -m experiment=study data=emoji hydra.sweeper.n_trials=60 $(ARGS)

report: setup ## write a study as one HTML page and a Markdown table (STUDY=NAME; needed if there are several studies)
	$(BIN)/python -m sweeps.report $(STUDY) $(ARGS)

bench: setup ## time the losses and the training step, and break a training down into its parts
	$(BIN)/python -m bench.losses $(ARGS)
	$(BIN)/python -m bench.train_step
	$(BIN)/python -m bench.breakdown

quality: setup ## train on drawn shapes, and measure whether the text controls the picture (half an hour of one core, eight minutes of a GPU; ARGS=kimg=100)
	$(BIN)/python -m bench.quality $(ARGS)

bench-fid: setup ## measure bias and standard deviation of FID against the number of images, for docs/metrics.md (ARGS=kimg=8)
	$(BIN)/python -m bench.fid $(ARGS)

bench-cost: setup ## time the loss structures, with preprocessed and with online features (ARGS="model=base clip=ViT-B32")
	$(BIN)/python -m bench.cost $(ARGS)

bench-sweep: setup ## time the sweeper against other sweepers (ARGS="trivial uneven claims long"; default: all but long)
	$(BIN)/python -m bench.sweep $(ARGS)

bench-prepare: setup ## time the preparation against a plain open_clip loop (ARGS="photos=150 rounds=3")
	$(BIN)/python -m bench.prepare $(ARGS)

bench-simclr: setup ## time a step of task=simclr against a straightforward SimCLR loop (ARGS: overrides)
	$(BIN)/python -m bench.simclr $(ARGS)

gpu-check: setup ## measure and check everything that needs a GPU, in 8 minutes; write the tables of docs/gpu.md (ARGS=only=PART,...)
	$(BIN)/python -m bench.gpu $(ARGS)

screenshots: setup ## take the pictures of a terminal, of MLflow and of a report in docs/ again, in minutes (ARGS=mlflow: only MLflow's)
	$(BIN)/python -m bench.pictures $(ARGS)

cache-info: setup ## list the entries of the cache, and whether each is whole (ARGS=--cache-dir=DIR)
	$(BIN)/python -m clipgan.cache_tool info $(ARGS)

cache-clean: setup ## empty the cache (ARGS='--kind features' for a part of it)
	$(BIN)/python -m clipgan.cache_tool clean $(ARGS)

clean: ## remove .venv and the files that tools leave behind; runs, studies and the cache stay
	rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache *.egg-info dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
