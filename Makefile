# make demo, make test, make lab: each installs what it needs on the first call.
.PHONY: install demo compare tuned test nightly integrations floors lab voila package notebooks playground example pictures readme site bench lint clean
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/installed
DATASET ?= digits_lt
# of digits_lt the 60 of Recipe; other images are more and larger, and 15 already train longer on two cores
EPOCHS ?= $(if $(filter digits_lt,$(DATASET)),,15)
SET := --grid dataset=$(DATASET) $(if $(EPOCHS),--grid epochs=$(EPOCHS))
export PYTHONHASHSEED := 0
# tests side by side; on two cores three took longer than two (942 s, 798 s), as tests that wait for a browser look often
WORKERS ?= 2

help:
	@echo "make install    the environment in .venv (once, 1 to 3 minutes)"
	@echo "make demo       train and compare on real digits: table and build/demo/report.html (3 to 5 minutes)"
	@echo "make compare    every method on ten splits: build/compare/<dataset>/report.html (DATASET=$(DATASET), EPOCHS=$(EPOCHS))"
	@echo "make tuned      the same, each method with the best of three learning rates: build/tuned/<dataset>/report.html"
	@echo "make lab        JupyterLab on the notebooks"
	@echo "make test       all tests, notebooks included (10 to 20 minutes)"
	@echo "make floors     the tests of core, data and plots with the lowest versions of all packages (5 to 10 minutes)"
	@echo "make integrations  Balanced-MixUp in the loops of Lightning, accelerate, transformers, fastai, skorch, MONAI"
	@echo "make lint       style, and whether README and guide say what the repository's data give"
	@echo "make nightly    more of the same: kills at random moments, more cases (half an hour)"
	@echo "make notebooks  execute the notebooks and clean them for git"
	@echo "make student    the exercises without their solutions, in build/student"
	@echo "make playground train the networks of lesson 4 again: notebooks/playground.npz (a few minutes)"
	@echo "make example    make demo, then keep its runs as notebooks/example_runs"
	@echo "make pictures   the README's pictures, and its table from notebooks/pictures"
	@echo "make readme     check that the numbers in the README are those of the repository's data"
	@echo "make site       run the notebooks and make a site of them whose sliders work offline, in build/site"
	@echo "make voila      the lessons as dashboards without code, at an address of this machine"
	@echo "make package    sdist and wheel in build/dist, the wheel tried in an environment of its own"
	@echo "make bench      speed of loading, sampling, mixing, training and notebooks (some minutes, on an idle machine)"
	@echo "make clean      delete .venv and build"

install: $(STAMP)

# uv installs in a third of pip's time; constraints.txt names the versions known to work together;
# jsonschema, which every kernel imports, takes 2 s more from 4.25 on: it builds a grammar of web addresses
$(STAMP): pyproject.toml constraints.txt
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	$(PYTHON) -m uv pip install --quiet --compile-bytecode --python $(PYTHON) --constraints constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: install
	$(PYTHON) -m bmix_lite demo

# what one run in a night is enough for: every lesson's mutants, kills at random moments, more cases of what the tests do
nightly: install
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m nightly
	$(PYTHON) benchmarks/chaos.py --quick

# notebooks and tests in one session, so that no worker waits between the two
test: install
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --nbval notebooks tests

# the three lines of the PairSampler in every framework's loop, in an environment of their own
integrations: install
	$(PYTHON) -m uv venv --quiet --allow-existing --python $(PYTHON) build/integrations
	$(PYTHON) -m uv pip install --quiet --python build/integrations/bin/python --constraints constraints.txt \
	  --editable ".[integrations]" pytest hypothesis
	build/integrations/bin/python -m pytest tests/integrations

# the lowest versions that pyproject.toml allows. Why three of them are high: opencv 4 places pixels up to three levels
# from where torch does, scikit-learn before 1.8 deals groups otherwise, kaleido 1 draws no plotly before 6.1.1
floors: install
	rm -rf build/floors
	$(PYTHON) -m uv venv --quiet --python $(PYTHON) build/floors
	$(PYTHON) -m uv pip install --quiet --python build/floors/bin/python --resolution lowest-direct --editable ".[dev]"
	build/floors/bin/python -m pytest -n $(WORKERS) --dist loadfile tests/test_*.py tests/data tests/plots

compare: install
	$(PYTHON) -m bmix_lite sweep notebooks/05_train.ipynb --grid-file notebooks/methods.yaml \
	  $(SET) --out build/compare/$(notdir $(DATASET))

tuned: install
	$(PYTHON) -m bmix_lite sweep notebooks/05_train.ipynb --grid-file notebooks/tuned.yaml \
	  $(SET) --out build/tuned/$(notdir $(DATASET))
	$(PYTHON) -m bmix_lite report build/tuned/$(notdir $(DATASET)) --tuned

lab: install
	$(PYTHON) -m jupyterlab --ip=127.0.0.1 --notebook-dir=notebooks --LabApp.default_url=/lab/tree/00_start_here.ipynb

notebooks: install
	$(PYTHON) -m bmix_lite refresh notebooks/*.ipynb

student: install
	$(PYTHON) -m bmix_lite student

playground: install
	$(PYTHON) -m bmix_lite playground

example: demo
	$(PYTHON) -m bmix_lite keep build/demo/runs notebooks/example_runs --table build/demo/results.csv

site: install
	$(PYTHON) -m bmix_lite site

pictures: install
	$(PYTHON) .ci/pictures.py

readme: install
	$(PYTHON) .ci/pictures.py --check
	$(PYTHON) .ci/readme.py

# with what voila needs beside the kit, installed on the first call
voila: install
	test -x $(VENV)/bin/voila || $(PYTHON) -m uv pip install --quiet --python $(PYTHON) --constraints constraints.txt --editable ".[voila]"
	cd notebooks && ../$(VENV)/bin/voila --Voila.ip=127.0.0.1 .

package: install
	rm -rf build/dist build/fresh
	$(PYTHON) -m uv build --quiet --out-dir build/dist .
	$(PYTHON) -m uv venv --quiet --python $(PYTHON) build/fresh
	$(PYTHON) -m uv pip install --quiet --python build/fresh/bin/python --constraints constraints.txt build/dist/*.whl
	cd build/dist && ../fresh/bin/python -c "from bmix_lite import load, train, balanced_mixup, prepare; \
	  from bmix_lite.pages import export, sweep_report; \
	  print(load('digits_lt').name, load('eyepacs-labels').name)" && ../fresh/bin/python -m bmix_lite --help

# with the peers that the samplers are measured beside, installed on the first call
bench: install
	test -d $(VENV)/lib/python*/site-packages/imblearn || $(PYTHON) -m uv pip install --quiet --python $(PYTHON) --constraints constraints.txt --editable ".[bench]"
	status=0; for name in loading samplers scale mixing training features notebooks; do echo "== $$name"; $(PYTHON) benchmarks/$$name.py --quick || status=1; done; exit $$status

# style, and what README and guide say
lint: install readme
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) .ci/house.py
	$(PYTHON) -m pytest -m prose tests/project

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
