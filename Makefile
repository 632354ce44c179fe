# Lesion Lens. "make run" is all that a new clone needs; "make help" lists the rest.
# Python 3.11 or later, make and a POSIX shell are enough: everything else goes into .venv.

SHELL = /bin/sh
PORT ?= 8000
JOBS ?= 2
export PORT

python = .venv/bin/python
install = $(python) -m pip install --disable-pip-version-check --no-input --require-hashes

# True for an interpreter that is new enough (and, for a virtual environment, has pip).
new_enough = import sys; sys.exit(sys.version_info < (3, 11))
complete = import importlib.util as u, sys; sys.exit(sys.version_info < (3, 11) or u.find_spec("pip") is None)

.PHONY: help run test lint format environment tools venv docs pins audit sbom screenshots clean

help:
	@echo "make run      install what is missing, migrate the database, serve on http://127.0.0.1:$(PORT)"
	@echo "              (another port: make run PORT=8001, another interpreter: make run PYTHON=/path/to/python3.12)"
	@echo "make test     the whole test suite (part of it: make test ARGS='tests/ml -k split';"
	@echo "              JOBS=4: four processes instead of two, JOBS=0: in one, for debugging)"
	@echo "make lint     ruff, mypy and the import contracts"
	@echo "make format   let ruff format the code"
	@echo "make docs     write the settings table and the model's figures into README.md and docs/"
	@echo "make screenshots  take the pictures of README.md anew, of a demonstration made for them (needs chromium)"
	@echo "make pins     pin requirements.txt and requirements-dev.txt anew"
	@echo "make audit    look the pinned packages up among known faults (AUDIT_REQUIRED=1: fail where that cannot be done)"
	@echo "make sbom     write all parts that are installed to run it, with versions and hashes, into sbom.cdx.json (CycloneDX)"
	@echo "make clean    remove .venv and the tools' caches; instance/ (database, photos, models) stays"

run: environment
	@$(python) -m flask --app wsgi db upgrade || \
		{ echo "The database could not be brought up to date; the lines above say why. Nothing was started." >&2; exit 1; }
	@echo
	@echo "Lesion Lens: open http://127.0.0.1:$(PORT) (stop with Ctrl-C)"
	@echo "To see the history, make an admin in another terminal:  .venv/bin/flask users create NAME --role admin"
	@echo "and sign in at http://127.0.0.1:$(PORT)/admin/history"
	@echo
	@exec $(python) deploy/serve.py

# Two processes take test files in turn, one core each: with as many threads as cores in each of them all would wait for each other.
test: tools
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(python) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: tools
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@.venv/bin/lint-imports

format: tools
	@$(python) -m ruff check --fix-only .
	@$(python) -m ruff format .

docs: tools
	@$(python) docs/update_settings.py
	@$(python) docs/update_figures.py
	@$(python) docs/update_conditions.py
	@$(python) docs/update_ablations.py
	@$(python) docs/update_gate.py
	@$(python) docs/update_latency.py
	@$(python) docs/update_first_look.py
	@$(python) docs/update_history.py
	@$(python) docs/update_comparison.py
	@$(python) docs/update_reliability.py
	@$(python) docs/update_licences.py

pins: tools
	@.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		requirements.in --output-file requirements.txt
	@.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		requirements-dev.in --output-file requirements-dev.txt

audit: tools
	@$(python) .ci/audit.py

screenshots: tools
	@$(python) docs/take_screenshots.py

# The same packages give the same file: it holds no time and no random number.
sbom: tools
	@.venv/bin/cyclonedx-py requirements --output-reproducible --output-format JSON --output-file sbom.cdx.json requirements.txt
	@echo "sbom.cdx.json has $$(grep -c '"purl"' sbom.cdx.json) parts."

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The packages are installed only when the pins differ from those that were installed last: the copy in .venv is the stamp.
environment: venv
	@cmp -s requirements.txt .venv/requirements.installed || { \
		echo "Installing the packages of requirements.txt into .venv: once, and on Linux several gigabytes."; \
		$(install) -r requirements.txt && cp requirements.txt .venv/requirements.installed || { \
			echo "The packages could not be installed; the lines above say why. Run the same command again once that is mended." >&2; \
			exit 1; }; }

tools: environment
	@cmp -s requirements-dev.txt .venv/requirements-dev.installed || { \
		echo "Installing the test and lint tools of requirements-dev.txt into .venv."; \
		$(install) -r requirements-dev.txt && cp requirements-dev.txt .venv/requirements-dev.installed || { \
			echo "The tools could not be installed; the lines above say why. Run the same command again once that is mended." >&2; \
			exit 1; }; }

# An environment that is whole is left alone; a missing or broken one is made from the first interpreter that will do.
venv:
	@$(python) -c '$(complete)' 2>/dev/null && exit 0; \
	found=; bare=; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
		"$$candidate" -c '$(new_enough)' >/dev/null 2>&1 || continue; \
		if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$candidate; break; fi; \
		bare=$${bare:-$$candidate}; \
	done; \
	if [ -n "$$found" ]; then \
		echo "Making .venv with $$("$$found" --version)."; \
		"$$found" -m venv --clear .venv; \
	elif [ -n "$$bare" ]; then \
		echo "$$("$$bare" --version) is there, but without what makes virtual environments." \
			"On Debian and Ubuntu: sudo apt install python3-venv; then run this again." >&2; exit 1; \
	else \
		echo "Lesion Lens needs Python 3.11 or later, and none was found." \
			"Install one from https://www.python.org/downloads/ or your system's packages, then run this again." >&2; exit 1; \
	fi
