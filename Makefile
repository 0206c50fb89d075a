# make run: everything on this machine. make test: every check. Needs git, make and Python >= 3.11.
.POSIX:
.SUFFIXES:
.PHONY: help run test check slow faults attack drill fuzz audit sbom dist bench docs lint lock clean
.PHONY: help run test check slow screenshots faults attack drill fuzz audit sbom dist bench lint lock clean

VENV = .venv
PY = $(VENV)/bin/python
BENCH = quick
MINUTES = 10
UNIT = tests/unit tests/tossapi tests/dataapi tests/emulator
UV_VERSION = 0.13.9
LOCKED = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)

# The first Python that is new enough and can make environments.
FIND_PYTHON = for candidate in $${PYTHON:-} python3 python3.13 python3.12 python3.11; do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No Python >= 3.11 with its venv module: install one (on Debian: python3 and python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

run: $(VENV)/.built  ## the service, Supabase Lite, a Toss emulator and a shop on this machine; PORT, SUPABASE_PORT … choose ports
	@$(PY) -m scripts.dev

test: lint  ## everything: lint, types, arrows between modules, all tests (ten minutes on two cores)
	$(PY) -m pytest -n auto

check: lint  ## the quick part: lint, types, unit tests (under a minute)
	$(PY) -m pytest -n auto $(UNIT)

slow: $(VENV)/.built  ## what takes long: Toss's real minutes, a thousand payments, the Supabase CLI, 500 examples of each property
	$(PY) -m pytest -n auto -m "slow or hypothesis" --hypothesis-profile=thorough -o faulthandler_timeout=0

screenshots: $(VENV)/.built  ## pictures of every page of the operators, in both languages, both themes and two widths: build/screenshots/
	$(PY) -m tests.browser.screenshots

faults: $(VENV)/.built  ## every fault with thousands of deliveries (up to 15 minutes); writes the table of docs/reliability.md
	$(PY) -m tests.faults --write docs/reliability.md

drill: $(VENV)/.built  ## every section of docs/runbook.md, played with real processes (up to 20 minutes)
	$(PY) -m tests.drill

fuzz: $(VENV)/.built .local/fuzz/.built  ## looks for inputs that break a promise, for MINUTES=10 in all; what it finds is kept in tests/fuzz/corpus
	PYTHONPATH=.local/fuzz/packages $(PY) -m tests.fuzz --minutes $(MINUTES)

attack: $(VENV)/.built  ## every attack beside genuine deliveries, on loopback (about ten minutes); writes the table of docs/security.md
	$(PY) -m tests.attack --write docs/security.md

bench: $(VENV)/.built  ## measures against what could stand in its place: BENCH=quick, full, real, endpoint, sql, trace, growth, queries, simulate, memory, startup, report
	$(PY) -m benchmarks $(BENCH)

audit: $(VENV)/.built .local/audit/.built  ## known vulnerabilities of every locked package; says so, and fails, where nobody can be asked
	PYTHONPATH=.local/audit/packages $(PY) -m scripts.audit

sbom: $(VENV)/.built .local/audit/.built  ## the bill of materials of what is shipped, as CycloneDX: build/sbom.cdx.json
	PYTHONPATH=.local/audit/packages $(PY) -m scripts.sbom build/sbom.cdx.json

dist: $(VENV)/.built .local/release/.built  ## what is released: wheel and sdist, checked, in dist/
	rm -rf dist
	$(PY) -m hatchling build -d dist
	PYTHONPATH=.local/release/packages $(PY) -m twine check --strict dist/*

docs: $(VENV)/.built .local/docs/.built  ## the documentation as a site in English and Korean, links checked: build/site
	PYTHONPATH=.local/docs/packages $(PY) -m scripts.docs_site

lint: $(VENV)/.built  ## style, SQL, Dockerfile, workflows, types and arrows between modules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/squawk supabase/migrations/*.sql
	$(VENV)/bin/hadolint Dockerfile .devcontainer/Dockerfile
	$(VENV)/bin/zizmor --quiet --offline --strict-collection .github
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

lock:  ## make the requirement files and the npm lock again; UPGRADE=--upgrade takes newer versions
	@$(FIND_PYTHON); $$python -m venv .local/lock && .local/lock/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@for target in "requirements.txt --extra otel" "requirements-dev.txt --extra dev --extra otel --constraint requirements.txt" \
	  "requirements-fuzz.txt --group fuzz --constraint requirements-dev.txt" \
	  "requirements-audit.txt --group audit --constraint requirements-dev.txt" \
	  "requirements-release.txt --group release --constraint requirements-dev.txt" \
	  "requirements-docs.txt --group docs --constraint requirements-dev.txt"; do \
	  case "$$target" in *--group*) source="";; *) source=pyproject.toml;; esac; \
	  .local/lock/bin/uv pip compile $(LOCKED) $$source --output-file $$target || exit 1; \
	done
	@$(FIND_PYTHON); $$python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' | \
	  .local/lock/bin/uv pip compile $(LOCKED) - --constraint requirements-dev.txt --output-file requirements-build.txt
	@if grep -nE '(https?|file):/' requirements*.txt; then echo "a requirement names an address" >&2; exit 1; fi
	@if command -v npm >/dev/null; then for folder in scripts/local benchmarks/peers tests/browser tests/push; do \
	  (cd $$folder && npm install --package-lock-only --ignore-scripts --loglevel=error) || exit 1; \
	done; fi

clean:  ## delete what was built, and the local data
	rm -rf $(VENV) .local .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.built: requirements-dev.txt
	@$(FIND_PYTHON); $$python scripts/build_venv.py $(VENV) requirements-dev.txt
	@touch $@

.local/%/.built: requirements-%.txt $(VENV)/.built
	@rm -rf .local/$*
	@$(PY) -m pip install --quiet --disable-pip-version-check --target .local/$*/packages --no-deps --require-hashes -r requirements-$*.txt
	@touch $@
