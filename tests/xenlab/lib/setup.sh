# shellcheck shell=bash
# Hook: what every scenario without a line "# lab: bare" finds ready. Called once after each boot, in host A's dom0.
#
# Steps are optional here; `fail` says why the services do not come up, and then no such scenario runs.

# Domains whose names match this pattern belong to the services: the clean-up between two scenarios leaves them alone.
LAB_KEEP_DOMAINS=''

lab_setup() {
	:
}
