# The Xen lab: real Xen hosts in virtual machines. See docs/lab.md.

.PHONY: lab-images lab-shell check-lab
lab-images: ## build the lab's dom0, guests and kernels where their inputs changed (root)
	@tests/xenlab/build-images

lab-shell: ## boot a lab host and open a root shell in its dom0 (HOSTS=2 for two)
	@tests/xenlab/run -n $(or $(HOSTS),1) --shell

check-lab: ## run the lab's scenarios
	@tests/xenlab/run tests/xenlab/scenarios/[0-9]*.sh
