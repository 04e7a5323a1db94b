# Certificates that no KMC has issued: for hosts that must be refused.
# shellcheck shell=bash

# tls_make DIR NAME: a CA of its own (ca.crt) and a host's certificate and key by it.
tls_make() {
	mkdir -p "$1"
	(
		cd "$1" || exit 1
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=another CA" -keyout ca.key -out ca.crt -days 9
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout host.key -out host.csr
		openssl x509 -req -in host.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out host.crt -days 9
		chmod 600 ./*.key
	) >>"$WORK/openssl.log" 2>&1
}
