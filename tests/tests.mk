# tests/: the three rings and how they are run.

include tests/unit/unit.mk
include tests/fuzz/fuzz.mk
include tests/ring2/ring2.mk
include tests/bench/bench.mk

.PHONY: check check-unit check-unit-programs check-layers lint analyze coverage
check: deps ## install, build and run every test
	@+tests/check

check-unit: $(UNIT_TESTS) ## unit tests of the present VARIANT
	@tests/run-suite -j 4 $(UNIT_TESTS)

check-unit-programs: $(UNIT_TESTS)

lint: ## what can be seen without running anything: scripts, links, spelling, units
	@tests/run-suite tests/lint

analyze: ## clang's analyzer on the C files: minutes
	@tests/lint --analyze

coverage: ## what the unit tests reach, and the error paths that they don't
	@tests/coverage

check-layers: ## no upward or circular include
	@tests/check-layers
