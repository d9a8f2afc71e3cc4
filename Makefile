# make demo and make test set everything up: they need Python 3.11 and nothing else (uv makes it faster).
PYTHON ?= python3.11
VENV := .venv
# bytecode is kept, whatever the shell says: without it every command compiles torch anew
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
DEMO := demo
INSTALL := $(shell command -v uv >/dev/null 2>&1 && echo "uv pip install --quiet --python $(BIN)/python" || echo "$(BIN)/python -m pip install --quiet --disable-pip-version-check")

NEWEST_INSTALL = $(subst $(BIN)/,$(NEWEST)/bin/,$(INSTALL))

.PHONY: demo test web-test readers newest fuzz bench lint format clean apk apk-test arm64

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the converters and runtimes into $(VENV)"
	@$(INSTALL) -c constraints.txt -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "installing the test tools into $(VENV)"
	@$(INSTALL) -c constraints.txt -e '.[all,test]'
	@touch $@

demo: $(VENV)/.run
	$(BIN)/regnet-edge convert --target all --out $(DEMO)
	$(BIN)/regnet-edge verify $(DEMO)/*.mlpackage $(DEMO)/*.onnx $(DEMO)/*.pte $(DEMO)/*.tflite --count 2000
	$(BIN)/regnet-edge benchmark $(DEMO)/*.onnx $(DEMO)/*.pte $(DEMO)/*.tflite --min-seconds 2 -o $(DEMO)/results.jsonl
	$(BIN)/regnet-edge report $(DEMO)/results.jsonl -o $(DEMO)/report.html
	@echo "done: the files and their sidecars are in $(DEMO)/, the report is $(DEMO)/report.html"

# Two workers, a file of tests at a time, so that what a file's tests share is made once; a thread each, so that they do not
# wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile
test: $(VENV)/.test
	$(PYTEST) --ignore=tests/web

# The page in a real browser, as a bundle and as `benchmark --host web`. Needs chromium, nodejs, npm and openssl.
web-test: $(VENV)/.test
	$(PYTEST) tests/web

# Every kind of file in other people's tools, whose environments are made in build/readers (docs/readers.md).
readers: $(VENV)/.test
	$(BIN)/python -m tests.readers.environments $(READERS)
	REGNET_EDGE_READERS=all $(BIN)/pytest -n 2 tests/readers $(if $(ROWS),-k "$(ROWS)")

# An hour of hostile inputs and sudden deaths; the same command goes on where it was stopped (tests/fuzz).
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --corpus --minutes 60 --state build/fuzz

# The newest version of every tool, the limits of setup.cfg aside, in a venv of its own: shows a break before users see it.
NEWEST := build/newest
newest:
	rm -rf $(NEWEST)
	@command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m venv $(NEWEST) || python3 -m venv $(NEWEST)
	$(NEWEST_INSTALL) --upgrade $$($(NEWEST)/bin/python .ci/tools.py)
	$(NEWEST_INSTALL) --no-deps -e .
	$(NEWEST)/bin/regnet-edge doctor || true
	$(NEWEST)/bin/pytest -n 2 --dist loadfile -W default tests/converters

bench: $(VENV)/.test
	$(BIN)/python peers/complexity.py
	$(BIN)/python peers/sampling.py
	$(BIN)/python peers/bootstrap.py
	$(BIN)/python peers/convert_speed.py
	$(BIN)/python peers/convert_speed.py --int8
	$(BIN)/python peers/file_latency.py
	$(BIN)/python peers/file_latency.py --int8
	$(BIN)/regnet-edge convert --target tflite --no-verify --out build/bench
	$(BIN)/python -m regnet_edge.benchmarks.selftest build/bench/*.tflite

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/lib build/shape
	$(INSTALL) --no-deps --target build/shape .
	cd build/shape && $(CURDIR)/$(BIN)/lint-imports $(CURDIR)/setup.cfg
	cd build/shape && $(CURDIR)/$(BIN)/mypy --cache-dir $(CURDIR)/.mypy_cache --config-file $(CURDIR)/setup.cfg -p regnet_edge

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The Android app, from source: a base APK an ABI, and one with the shipped net in it. Needs JDK 17, Maven, npm, aapt, apksigner.
APK := build/apk
# KEYSTORE=FILE signs with a key of your own, its password in REGNET_EDGE_KEYSTORE_PASSWORD.
apk: $(VENV)/.run
	$(MAKE) -C apps/android base PYTHON=$(CURDIR)/$(BIN)/python
	@mkdir -p $(APK)
	for abi in arm64-v8a x86_64; do \
		$(BIN)/regnet-edge bundle android regnety_15mf_fashion_mnist --abi $$abi \
			$(if $(KEYSTORE),--keystore $(KEYSTORE)) -o $(APK)/regnet-edge-$$abi.apk || exit 1; done

apk-test: $(VENV)/.test
	$(MAKE) -C apps/android base test native-test PYTHON=$(CURDIR)/$(BIN)/python
	$(BIN)/pytest tests/bundles/test_android.py tests/android

# On an emulated phone's CPU (docs/arm64.md), half an hour the first time: every file, a board over ssh, the Android app's own
# arm64 libraries; and adb against a real adbd. The board and adbd need root.
arm64: $(VENV)/.test
	$(BIN)/regnet-edge env create arm64
	$(BIN)/python tests/android/adbd.py
	$(MAKE) -C apps/android arm64-test PYTHON=$(CURDIR)/$(BIN)/python
	$(BIN)/pytest -m "arm64 or not arm64" tests/converters/test_isa.py tests/converters/test_emulated.py \
		tests/benchmarks/test_board.py tests/benchmarks/test_hosts.py tests/android/test_adbd.py tests/android/test_native.py

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
	$(MAKE) -C apps/android clean
