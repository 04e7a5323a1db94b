/* The schema of the SQL engines, step by step. */
#include "kmc/store_sql.h"

const char *const store_schema[] = {
	"CREATE TABLE pools (name TEXT PRIMARY KEY, registered_only INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE hosts (name TEXT PRIMARY KEY, pool TEXT NOT NULL REFERENCES pools(name), fingerprint BLOB NOT NULL,"
	" removed INTEGER NOT NULL, added_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE protection_keys (id BLOB PRIMARY KEY, host TEXT NOT NULL REFERENCES hosts(name), modulus BLOB NOT NULL,"
	" exponent INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, retired INTEGER NOT NULL,"
	" wrapped BLOB NOT NULL);"
	"CREATE INDEX protection_keys_by_host ON protection_keys (host, expires_at);"
	"CREATE TABLE vtpms (uuid BLOB PRIMARY KEY, pool TEXT NOT NULL REFERENCES pools(name), generation INTEGER NOT NULL, seed BLOB,"
	" owner_epoch INTEGER NOT NULL, endorsement_epoch INTEGER NOT NULL, platform_epoch INTEGER NOT NULL, holder TEXT, last_holder TEXT,"
	" lease_epoch INTEGER NOT NULL, state_version INTEGER NOT NULL, created_at INTEGER NOT NULL, opened_at INTEGER NOT NULL,"
	" stored_at INTEGER NOT NULL);"
	"CREATE TABLE states (uuid BLOB NOT NULL REFERENCES vtpms(uuid), version INTEGER NOT NULL, state BLOB NOT NULL,"
	" PRIMARY KEY (uuid, version));",

	/* The audit trail. The one row of audit_last is the last record, and what orders all writers. */
	"CREATE TABLE audit (seq INTEGER PRIMARY KEY, record BLOB NOT NULL);"
	"CREATE TABLE audit_last (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB);"
	"INSERT INTO audit_last (id, seq, hash) VALUES (1, 0, NULL);"
	"CREATE TABLE audit_heads (kmc TEXT PRIMARY KEY, head BLOB NOT NULL);",

	/* Earlier states are kept, with what is needed to go back to one. */
	"ALTER TABLE states ADD COLUMN stored_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE states ADD COLUMN owner_epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE states ADD COLUMN endorsement_epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE states ADD COLUMN platform_epoch INTEGER NOT NULL DEFAULT 0;"
	"UPDATE states SET stored_at = (SELECT v.stored_at FROM vtpms v WHERE v.uuid = states.uuid),"
	" owner_epoch = (SELECT v.owner_epoch FROM vtpms v WHERE v.uuid = states.uuid),"
	" endorsement_epoch = (SELECT v.endorsement_epoch FROM vtpms v WHERE v.uuid = states.uuid),"
	" platform_epoch = (SELECT v.platform_epoch FROM vtpms v WHERE v.uuid = states.uuid);",

	/* Enrolment by token, and attestation. */
	"CREATE TABLE tokens (host TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, pool TEXT NOT NULL REFERENCES pools(name), ek BLOB,"
	" created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE identities (host TEXT PRIMARY KEY REFERENCES hosts(name), ak BLOB NOT NULL, ek BLOB NOT NULL, ek_check INTEGER NOT NULL,"
	" software_key INTEGER NOT NULL, reference_mask INTEGER NOT NULL, reference BLOB NOT NULL, last_mask INTEGER NOT NULL,"
	" last BLOB NOT NULL, reference_firmware BLOB NOT NULL, last_firmware BLOB NOT NULL, clock_ms BLOB NOT NULL,"
	" reset_count INTEGER NOT NULL, restart_count INTEGER NOT NULL, attested_at INTEGER NOT NULL, failed INTEGER NOT NULL,"
	" reason TEXT NOT NULL);"
	"CREATE TABLE policies (pool TEXT PRIMARY KEY REFERENCES pools(name), pcrs INTEGER NOT NULL, interval_s INTEGER NOT NULL,"
	" require INTEGER NOT NULL, ek_policy INTEGER NOT NULL, note_clock INTEGER NOT NULL, note_firmware INTEGER NOT NULL,"
	" maintenance_until INTEGER NOT NULL) WITHOUT ROWID;",

	/* Leases that hosts keep for a grace start. */
	"CREATE TABLE parked (uuid BLOB PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, recalled_at INTEGER NOT NULL);"
	"CREATE INDEX parked_by_holder ON parked (holder, recalled_at);",

	/* Guests that sleep and move; and which connection of a host is the present one. */
	"ALTER TABLE vtpms ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vtpms ADD COLUMN image INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vtpms ADD COLUMN suspended_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vtpms ADD COLUMN reserver TEXT;"
	"ALTER TABLE vtpms ADD COLUMN reservation BLOB;"
	"ALTER TABLE vtpms ADD COLUMN reserved_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE vtpms ADD COLUMN committed BLOB;"
	"ALTER TABLE vtpms ADD COLUMN resumed_from INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE images (uuid BLOB NOT NULL REFERENCES vtpms(uuid), image INTEGER NOT NULL, number INTEGER NOT NULL,"
	" version INTEGER NOT NULL, suspended_at INTEGER NOT NULL, volatile_state BLOB NOT NULL, PRIMARY KEY (uuid, image));"
	"CREATE TABLE sessions (host TEXT PRIMARY KEY REFERENCES hosts(name), session INTEGER NOT NULL) WITHOUT ROWID;",

	/* Certificates of vTPMs' endorsement keys. */
	"CREATE TABLE ek_certificates (uuid BLOB PRIMARY KEY REFERENCES vtpms(uuid), generation INTEGER NOT NULL,"
	" endorsement_epoch INTEGER NOT NULL, ca BLOB NOT NULL, issued_at INTEGER NOT NULL, rsa BLOB NOT NULL, ecc BLOB NOT NULL);",

	/* The image that stub domains start from. */
	"ALTER TABLE identities ADD COLUMN image BLOB; ALTER TABLE policies ADD COLUMN images BLOB;",

	/* vTPMs that have come to their end. */
	"CREATE TABLE retirements (uuid BLOB PRIMARY KEY REFERENCES vtpms(uuid), seed BLOB, due_at INTEGER NOT NULL,"
	" destroyed_at INTEGER NOT NULL);"
	"CREATE INDEX retirements_by_due ON retirements (destroyed_at, due_at);",

	/* Certificates of hosts, since they renew themselves. What was issued before has no row. */
	"CREATE TABLE host_certificates (host TEXT NOT NULL REFERENCES hosts(name), fingerprint BLOB NOT NULL, ca BLOB NOT NULL,"
	" issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL, certificate BLOB NOT NULL,"
	" PRIMARY KEY (host, fingerprint));",

	/* Authorities, since there can be more than one; which of them hosts trust, and which kmcd are certified by. */
	"CREATE TABLE authorities (number INTEGER PRIMARY KEY, state INTEGER NOT NULL, certificate BLOB NOT NULL, key BLOB, made_at INTEGER NOT NULL);"
	"CREATE TABLE servers (name TEXT PRIMARY KEY, authority INTEGER NOT NULL, started_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE host_trust (host TEXT PRIMARY KEY REFERENCES hosts(name), authority INTEGER NOT NULL) WITHOUT ROWID;",
	/* Replacement of the wrapping key. The first one has no row. */
	"CREATE TABLE wrapping_keys (number INTEGER PRIMARY KEY, sealed BLOB, made_at INTEGER NOT NULL, used_at INTEGER NOT NULL,"
	" done_at INTEGER NOT NULL);"
	"CREATE TABLE wrapping_kmcs (kmc TEXT PRIMARY KEY, newest INTEGER NOT NULL, oldest INTEGER NOT NULL, beat INTEGER NOT NULL,"
	" trouble TEXT NOT NULL);",

	/* vTPMs that share keys: whose they have. */
	"ALTER TABLE vtpms ADD COLUMN key_uuid BLOB;"
	"ALTER TABLE vtpms ADD COLUMN key_generation INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX vtpms_by_keys ON vtpms (key_uuid, key_generation);",

	/* vTPMs that go to another KMC, and that came from one. */
	"ALTER TABLE retirements ADD COLUMN move BLOB;"
	"ALTER TABLE retirements ADD COLUMN recipient BLOB;"
	"ALTER TABLE retirements ADD COLUMN destination TEXT;"
	"ALTER TABLE retirements ADD COLUMN move_epoch INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE arrivals (uuid BLOB PRIMARY KEY REFERENCES vtpms(uuid), move BLOB NOT NULL, sender BLOB NOT NULL, sender_name TEXT NOT NULL,"
	" key_uuid BLOB NOT NULL, key_generation INTEGER NOT NULL, move_epoch INTEGER NOT NULL, arrived_at INTEGER NOT NULL);"
	"CREATE INDEX arrivals_by_keys ON arrivals (key_uuid, key_generation);",
};
const int store_schema_version = (int)(sizeof(store_schema) / sizeof(store_schema[0]));
