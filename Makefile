# Parallax: everything starts here. `make help` lists the targets.
# A new machine needs Python 3.11, pip and make; a second run of any target does no set-up again.

PYTHON ?= $(or $(shell command -v python3.11 || command -v python3),python3)

VENV   := .venv
RUN    := $(VENV)/bin/python
# A stamp's name holds what was installed from: a changed lock makes another name, and so another installation.
LOCKED := $(shell cat pyproject.toml requirements.lock .ci/install.py | cksum | tr ' ' '-')
SERVE  := $(VENV)/.serve-$(LOCKED)
ALL    := $(VENV)/.all-$(LOCKED)

# Targets share one environment, so `make -j` runs them one after another.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help serve setup test test-slow lint format bench figures data train-default lock image chromium

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

serve: $(SERVE) ## start the service; PORT=8000 DATA=./data MODEL=model/pretrained/pictogram
	@exec $(RUN) -m app serve $(if $(PORT),--port "$(PORT)") $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)")

setup: $(ALL) ## only .venv, with everything for serving, training and tests
	@echo "$(VENV) is ready"

test: lint chromium ## lint, then the test suite, in a real browser too
	@$(RUN) -m pytest $(TESTS)

test-slow: $(ALL) chromium ## the tests that take minutes
	@$(RUN) -m pytest -m slow $(TESTS)

lint: $(ALL) ## formatting, lint and types
	@$(RUN) -m ruff format --check --quiet
	@$(RUN) -m ruff check --quiet
	@$(RUN) -m mypy

format: $(ALL) ## put the code into shape
	@$(RUN) -m ruff format
	@$(RUN) -m ruff check --fix

# An environment for serving grows into the full one; pip changes only what differs.
$(SERVE):
	@"$(PYTHON)" .ci/install.py $(VENV) serve
	@rm -f $(VENV)/.serve-* $(VENV)/.all-*; touch $@

$(ALL):
	@"$(PYTHON)" .ci/install.py $(VENV) serve train test
	@rm -f $(VENV)/.serve-* $(VENV)/.all-*; touch $(SERVE) $@

# The page is tested in a real browser, from the system's packages.
chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	command -v apt-get >/dev/null || { echo "The tests drive the page in Chromium: install it, then run make again." >&2; exit 1; }; \
	as_root=; test "$$(id -u)" = 0 || as_root=sudo; \
	echo "installing chromium from the system's packages" >&2; \
	{ $$as_root apt-get update && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
	>/dev/null || { echo "Chromium could not be installed: as an administrator, run apt-get install chromium." >&2; exit 1; }

bench: $(ALL) ## compare with other projects on this machine, for up to four hours, after `make data`; results go to runs/bench
	@$(RUN) -m benchmarks

figures: $(ALL) ## draw the figures of docs/model.md anew; takes some minutes the first time
	@$(RUN) -m benchmarks.figures

data: $(ALL) ## build the data sets in runs/, from packages of npm and Debian that are fetched when missing
	@$(RUN) -m training prepare pictogram runs/pictogram
	@$(RUN) -m training prepare icons runs/icons
	@$(RUN) -m training prepare clipart runs/clipart

# Three runs. The first has several parts, each with a learning rate that ends at zero; of one that is done no step is
# trained again. Each of the others starts from the model before it, and halfway between the two is the next model.
DEFAULT := $(RUN) -m training train training/recipes/default.toml --out runs/default
sources = --set 'data.train=[{path="runs/pictogram/train",per_batch=$(1)},{path="runs/icons/train",per_batch=$(2),by_root=true},{path="runs/clipart/train",per_batch=48}]'

# run, model that it starts from, steps, those of them on small pictures, those of them in which the rate falls
define further
@$(RUN) -m training train training/recipes/default.toml --out runs/$(1) --set 'model={start="runs/$(2)"}' \
	--set steps=$(3) --set data.early_steps=$(4) --set optimizer.decay_steps=$(5) --set optimizer.warmup_steps=60 \
	--set optimizer.learning_rate=1.2e-3 --set ema_decay=0.99 --set style_weight=0.7 --set data.captions_per_picture=2 \
	$(call sources,272,192) $(if $(wildcard runs/$(1)/checkpoints/*),--resume)
@$(RUN) -m training export runs/$(1) runs/$(1)-model --halfway
endef

train-default: data ## train the default model, hours on two cores, into runs/last-model; run it again to go on after a stop
	@$(DEFAULT) $(if $(wildcard runs/default/checkpoints/*),--resume)
	@$(DEFAULT) --resume --set steps=6150 --set optimizer.decay_steps=450 --set optimizer.learning_rate=1e-3 --set ema_decay=0.99 $(call sources,288,176)
	@$(DEFAULT) --resume --set steps=7300 --set optimizer.decay_steps=1150 --set optimizer.learning_rate=1.2e-3 --set ema_decay=0.99 $(call sources,272,192)
	@$(DEFAULT) --resume --set steps=8500 --set optimizer.decay_steps=1200 --set optimizer.learning_rate=1.2e-3 --set ema_decay=0.99 $(call sources,272,192)
	@$(RUN) -m training export runs/default runs/default-model
	$(call further,further,default-model,2500,1500,1000)
	$(call further,last,further-model,1250,0,800)

# PyTorch's own CPU build of the release that pyproject.toml names. No package index that the lock is resolved from has
# it, so its hash stands here and is added to those of the default build.
TORCH_CPU_VERSION := 2.13.0
TORCH_CPU_HASH    := sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

lock: ## write requirements.lock anew from pyproject.toml; UPGRADE=1 takes the newest versions
	@"$(PYTHON)" .ci/install.py $(VENV) lock
	@grep -v '$(TORCH_CPU_HASH)' requirements.lock > requirements.lock.new
	@$(RUN) -m uv pip compile --quiet --all-extras --python-version 3.11 --python-platform linux --only-binary :all: \
	--generate-hashes --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file requirements.lock.new pyproject.toml
	@grep -q '^torch==$(TORCH_CPU_VERSION) ' requirements.lock.new || { echo "torch is locked at another version: put the hash of its CPU build into the Makefile." >&2; exit 1; }
	@awk '{ print } /^torch==/ { print "    --hash=$(TORCH_CPU_HASH) \\" }' requirements.lock.new > requirements.lock
	@rm requirements.lock.new

image: ## build the container image with buildah and try it; BASE=<image> instead of one made from the system's packages
	@.ci/image
