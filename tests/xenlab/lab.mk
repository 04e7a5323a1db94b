# The Xen lab: real Xen hosts in virtual machines. See docs/lab.md.

.PHONY: lab-images lab-shell check-lab
lab-images: ## build the lab's dom0, guests and kernels where their inputs changed (root)
	@tests/xenlab/build-images

lab-shell: deps ## boot a lab host and open a root shell in its dom0 (HOSTS=2 for two)
	@tests/xenlab/run -n $(or $(HOSTS),1) --shell

check-lab: deps ## run the lab's scenarios
	@tests/xenlab/run tests/xenlab/scenarios/[0-9]*.sh

.PHONY: demo
demo: deps ## from a bare machine to a guest that uses its TPM
	@tests/xenlab/run --narrate tests/demo/demo.sh
	@echo
	@echo "To look around: 'make lab-shell' boots the same and opens a root shell in dom0. There, 'guest_start demo' creates such"
	@echo "a guest, 'guest_shell demo' opens a shell in it, and 'vtpmctl list' shows its vTPM."
