# lab: timeout=900
# Several guests at once: each has its own stub domain.
set -e

step "two guests run at once, PV and PVH"
tiny_cfg left pv >/dev/null
tiny_cfg right pvh >/dev/null
quiet_xl create /etc/xen/lab/left.cfg &
first=$!
quiet_xl create /etc/xen/lab/right.cfg
wait $first || fail "xl create of the first guest failed"
for name in left right; do
	expect_ok guest_wait $name
	wait_for 15 tiny_random $name || fail "no TPM in $name"
done

step "each has a stub domain of its own"
expect_same "$(vtpmctl list --json | jq '[.[] | select(.state == "serving") | .stub_domain] | unique | length')" 2 "stub domains"

step "one goes, the other does not notice"
quiet_xl destroy left
expect_ok tiny_random right
quiet_xl destroy right
expect_clean

step "six guests at once"
# Paused until all are there, then one after the other: guests that boot side by side on one emulated processor leave the next one's stub
# domain too little of it for xl's ten seconds.
for n in {1..6}; do
	tiny_cfg "many-$n" >/dev/null
	quiet_xl create -p "/etc/xen/lab/many-$n.cfg" >/dev/null
done
for n in {1..6}; do
	xl unpause "many-$n"
	expect_ok guest_wait "many-$n" 90
	wait_for 30 tiny_random "many-$n" || fail "no TPM in many-$n"
done
expect_same "$(vtpmctl list --json | jq '[.[] | select(.state == "serving")] | length')" 6 "vTPMs that serve"
note "$(xl info free_memory) MiB free with six guests and six stub domains"

step "and all of them go"
for n in {1..6}; do
	quiet_xl destroy "many-$n"
done
expect_clean 20
