# tests/: the three rings and how they are run.

include tests/unit/unit.mk
include tests/fuzz/fuzz.mk
include tests/ring2/ring2.mk
include tests/bench/bench.mk

.PHONY: check check-unit check-lint check-layers
check: deps ## install, build and run every test
	@+tests/check

check-unit: $(UNIT_TESTS) ## unit tests of the present VARIANT
	@tests/run-suite $(UNIT_TESTS)

check-layers: ## no upward or circular include
	@tests/check-layers
