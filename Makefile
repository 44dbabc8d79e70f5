# make run     set up what is missing and serve on http://127.0.0.1:8000; CONFIG=configs/x.toml ARGS="--port 9000"
# make full    install what every engine needs (Paraformer, SenseVoice, Whisper, CosyVoice2), 4 GB
# make test    set up everything and run every check; ARGS="tests/vad -x" are those of pytest
# make bench   measure; ARGS are those of `talkover bench`
# make lint    format, style and types only
# make audit   known vulnerabilities of what is installed; needs the network. ARGS="--osv-url URL" asks a mirror
# make licences  write docs/LICENCES.md anew from what is installed
# make clean   remove the environment and what tools left behind
#
# PYTHON=/path/to/python3 chooses the interpreter of the environment.

export PYTHON
VENV := .venv
BIN := $(VENV)/bin
TALKOVER := $(BIN)/python -m talkover

.PHONY: run full test bench lint audit licences clean
.DEFAULT_GOAL := run

$(VENV)/light.installed: pyproject.toml .ci/setup
	@.ci/setup light

$(VENV)/dev.installed: pyproject.toml .ci/setup
	@.ci/setup dev

run: $(VENV)/light.installed
	@exec $(TALKOVER) serve $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

$(VENV)/full.installed: pyproject.toml .ci/setup
	@.ci/setup full

full: $(VENV)/full.installed

bench: $(VENV)/light.installed
	@exec $(TALKOVER) bench $(ARGS)

lint: $(VENV)/dev.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# The Node.js of the environment runs the page's unit tests: those of the system are often too old, or missing.
test: export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where keeping bytecode is forbidden (images of containers), every server that a test starts would compile FunASR anew: 30 s of
# processor time each, not 14.
test: export PYTHONDONTWRITEBYTECODE :=
test: lint
	@.ci/browser
	node --test "tests/frontend/**/*.test.js"
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

audit: $(VENV)/dev.installed
	@$(BIN)/python .ci/audit.py $(ARGS)

licences: $(VENV)/dev.installed
	@$(BIN)/python .ci/licences.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist test-artefacts backend/*.egg-info
	find backend tests -name __pycache__ -type d -prune -exec rm -rf {} +
