/* Every statement of the SQL engines: the text, in what SQLite and PostgreSQL have in common. */
#include "kmc/store_sql.h"

#define HOST_COLUMNS "name, pool, fingerprint, removed, added_at, expires_at"
#define KEY_COLUMNS "id, host, modulus, exponent, created_at, expires_at, retired, wrapped"
#define VTPM_COLUMNS \
	"uuid, pool, generation, seed, owner_epoch, endorsement_epoch, platform_epoch, holder, last_holder, lease_epoch, state_version, " \
	"created_at, opened_at, stored_at, suspended, image, suspended_at, reserver, reservation, reserved_at, committed, resumed_from, " \
	"key_uuid, key_generation"
#define TOKEN_COLUMNS "hash, host, pool, ek, created_at, expires_at"
#define IDENTITY_COLUMNS \
	"host, ak, ek, ek_check, software_key, reference_mask, reference, last_mask, last, reference_firmware, last_firmware, clock_ms, " \
	"reset_count, restart_count, attested_at, failed, reason, image"
#define POLICY_COLUMNS "pool, pcrs, interval_s, require, ek_policy, note_clock, note_firmware, maintenance_until, images"
#define PARKED_COLUMNS "uuid, holder, epoch, recalled_at"
#define RETIREMENT_COLUMNS "uuid, seed, due_at, destroyed_at, move, recipient, destination, move_epoch"
#define ARRIVAL_COLUMNS "uuid, move, sender, sender_name, key_uuid, key_generation, move_epoch, arrived_at"
#define HOSTCERT_COLUMNS "host, fingerprint, ca, issued_at, expires_at, used_at, certificate"
#define EK_COLUMNS "uuid, generation, endorsement_epoch, ca, issued_at, rsa, ecc"
#define WRAPPING_COLUMNS "number, sealed, made_at, used_at, done_at"
#define WRAPPING_KMC_COLUMNS "kmc, newest, oldest, beat, trouble"
/* The number of the wrapping key that a wrapped thing is under: bytes 2 to 5 (kmc/wrap.h). */
#define UNDER(column) "substr(" column ", 2, 4)"

const char *const store_sql[N_STATEMENTS] = {
	[SQL_POOL_GET] = "SELECT name, registered_only FROM pools WHERE name = ?1",
	[SQL_POOL_PUT] = "INSERT INTO pools VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET registered_only = excluded.registered_only",
	[SQL_POOL_NEXT] = "SELECT name, registered_only FROM pools WHERE name > ?1 ORDER BY name LIMIT 1",
	[SQL_HOST_GET] = "SELECT " HOST_COLUMNS " FROM hosts WHERE name = ?1",
	[SQL_HOST_PUT] = "INSERT INTO hosts (" HOST_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET"
			 " pool = excluded.pool, fingerprint = excluded.fingerprint, removed = excluded.removed, added_at = excluded.added_at,"
			 " expires_at = excluded.expires_at",
	[SQL_HOST_NEXT] = "SELECT " HOST_COLUMNS " FROM hosts WHERE name > ?1 ORDER BY name LIMIT 1",
	[SQL_KEY_GET] = "SELECT " KEY_COLUMNS " FROM protection_keys WHERE id = ?1",
	[SQL_KEY_CURRENT] = "SELECT " KEY_COLUMNS " FROM protection_keys WHERE host = ?1 AND retired = 0 AND expires_at > ?2"
			    " ORDER BY expires_at DESC LIMIT 1",
	[SQL_KEY_PUT] = "INSERT INTO protection_keys (" KEY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_KEY_RETIRE] = "UPDATE protection_keys SET retired = 1 WHERE retired = 0 AND (host = ?1 OR ?1 = '')",
	[SQL_KEY_PURGE] = "DELETE FROM protection_keys WHERE expires_at < ?1",
	[SQL_VTPM_GET] = "SELECT " VTPM_COLUMNS " FROM vtpms WHERE uuid = ?1",
	[SQL_VTPM_PUT] = "INSERT INTO vtpms (" VTPM_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
			 " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24) ON CONFLICT (uuid) DO UPDATE SET pool = excluded.pool, generation = excluded.generation, seed = excluded.seed,"
			 " owner_epoch = excluded.owner_epoch, endorsement_epoch = excluded.endorsement_epoch,"
			 " platform_epoch = excluded.platform_epoch, holder = excluded.holder, last_holder = excluded.last_holder,"
			 " lease_epoch = excluded.lease_epoch, state_version = excluded.state_version, created_at = excluded.created_at,"
			 " opened_at = excluded.opened_at, stored_at = excluded.stored_at, suspended = excluded.suspended,"
			 " image = excluded.image, suspended_at = excluded.suspended_at, reserver = excluded.reserver,"
			 " reservation = excluded.reservation, reserved_at = excluded.reserved_at, committed = excluded.committed,"
			 " resumed_from = excluded.resumed_from, key_uuid = excluded.key_uuid, key_generation = excluded.key_generation",
	[SQL_VTPM_FIRST] = "SELECT " VTPM_COLUMNS " FROM vtpms ORDER BY uuid LIMIT 1",
	[SQL_VTPM_NEXT] = "SELECT " VTPM_COLUMNS " FROM vtpms WHERE uuid > ?1 ORDER BY uuid LIMIT 1",
	[SQL_VTPM_SHARING] = "SELECT uuid FROM vtpms v WHERE uuid > ?1 AND ((uuid = ?2 AND generation = ?3 AND key_uuid IS NULL)"
			     " OR (key_uuid = ?2 AND key_generation = ?3)) AND (seed IS NOT NULL OR EXISTS (SELECT 1 FROM retirements r"
			     " WHERE r.uuid = v.uuid AND r.seed IS NOT NULL)) ORDER BY uuid LIMIT 1",
	[SQL_STATE_GET] = "SELECT state FROM states WHERE uuid = ?1 AND version = ?2",
	[SQL_STATE_PUT] = "INSERT INTO states (uuid, version, owner_epoch, endorsement_epoch, platform_epoch, stored_at, state)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_STATE_PRUNE] = "DELETE FROM states WHERE uuid = ?1 AND version < ?2 AND version IN (SELECT version FROM (SELECT version,"
			    " row_number() OVER newest AS place, sum(length(state)) OVER newest AS total FROM states WHERE uuid = ?1"
			    " WINDOW newest AS (ORDER BY version DESC)) AS placed WHERE place > ?3 OR total > ?4)"
			    " AND version NOT IN (SELECT i.version FROM images i WHERE i.uuid = ?1)",
	[SQL_STATE_NEXT] = "SELECT version, CAST(length(state) AS BIGINT), owner_epoch, endorsement_epoch, platform_epoch, stored_at"
			   " FROM states WHERE uuid = ?1 AND version > ?2 ORDER BY version LIMIT 1",
	[SQL_STATE_DROP] = "DELETE FROM states WHERE uuid = ?1 AND version > ?2",
	[SQL_IMAGE_GET] = "SELECT volatile_state FROM images WHERE uuid = ?1 AND image = ?2",
	[SQL_IMAGE_PUT] = "INSERT INTO images (uuid, image, number, version, suspended_at, volatile_state) VALUES (?1, ?2,"
			  " (SELECT coalesce(max(i.number), 0) + 1 FROM images i WHERE i.uuid = ?1), ?3, ?4, ?5) ON CONFLICT (uuid, image)"
			  " DO UPDATE SET number = excluded.number, version = excluded.version, suspended_at = excluded.suspended_at,"
			  " volatile_state = excluded.volatile_state",
	[SQL_IMAGE_NEXT] = "SELECT image, version, number, suspended_at FROM images WHERE uuid = ?1 AND number > ?2 ORDER BY number LIMIT 1",
	[SQL_IMAGE_PRUNE] = "DELETE FROM images WHERE uuid = ?1 AND image <> ?2 AND number NOT IN (SELECT i.number FROM images i"
			    " WHERE i.uuid = ?1 AND i.image <> ?2 ORDER BY i.number DESC LIMIT ?3)",
	[SQL_SESSION_GET] = "SELECT session FROM sessions WHERE host = ?1",
	[SQL_SESSION_NEXT] = "INSERT INTO sessions (host, session) VALUES (?1, 1) ON CONFLICT (host) DO UPDATE SET"
			     " session = sessions.session + 1",
	[SQL_AUDIT_LAST] = "SELECT seq, hash FROM audit_last WHERE id = 1",
	[SQL_AUDIT_SET_LAST] = "UPDATE audit_last SET seq = ?1, hash = ?2 WHERE id = 1",
	[SQL_AUDIT_PUT] = "INSERT INTO audit (seq, record) VALUES (?1, ?2)",
	[SQL_AUDIT_NEXT] = "SELECT seq, record FROM audit WHERE seq > ?1 ORDER BY seq LIMIT 1",
	[SQL_AUDIT_HEAD_GET] = "SELECT head FROM audit_heads WHERE kmc = ?1",
	[SQL_AUDIT_HEAD_PUT] = "INSERT INTO audit_heads (kmc, head) VALUES (?1, ?2) ON CONFLICT (kmc) DO UPDATE SET head = excluded.head",
	[SQL_AUDIT_HEAD_NEXT] = "SELECT kmc, head FROM audit_heads WHERE kmc > ?1 ORDER BY kmc LIMIT 1",
	[SQL_COUNT] = "SELECT (SELECT count(*) FROM hosts WHERE removed = 0), (SELECT count(*) FROM vtpms),"
		      " (SELECT count(*) FROM vtpms WHERE holder IS NOT NULL), (SELECT count(*) FROM states),"
		      " (SELECT CAST(coalesce(sum(length(state)), 0) AS BIGINT) FROM states)",
	[SQL_TOKEN_GET] = "SELECT " TOKEN_COLUMNS " FROM tokens WHERE hash = ?1",
	[SQL_TOKEN_PUT] = "INSERT INTO tokens (" TOKEN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (host) DO UPDATE SET"
			  " hash = excluded.hash, pool = excluded.pool, ek = excluded.ek, created_at = excluded.created_at,"
			  " expires_at = excluded.expires_at",
	[SQL_TOKEN_DROP] = "DELETE FROM tokens WHERE host = ?1",
	[SQL_TOKEN_PURGE] = "DELETE FROM tokens WHERE expires_at < ?1",
	[SQL_IDENTITY_GET] = "SELECT " IDENTITY_COLUMNS " FROM identities WHERE host = ?1",
	[SQL_IDENTITY_PUT] = "INSERT INTO identities (" IDENTITY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
			     " ?14, ?15, ?16, ?17, ?18) ON CONFLICT (host) DO UPDATE SET ak = excluded.ak, ek = excluded.ek,"
			     " ek_check = excluded.ek_check, software_key = excluded.software_key,"
			     " reference_mask = excluded.reference_mask, reference = excluded.reference, last_mask = excluded.last_mask,"
			     " last = excluded.last, reference_firmware = excluded.reference_firmware,"
			     " last_firmware = excluded.last_firmware, clock_ms = excluded.clock_ms, reset_count = excluded.reset_count,"
			     " restart_count = excluded.restart_count, attested_at = excluded.attested_at, failed = excluded.failed,"
			     " reason = excluded.reason, image = excluded.image",
	[SQL_IDENTITY_DROP] = "DELETE FROM identities WHERE host = ?1",
	[SQL_POLICY_GET] = "SELECT " POLICY_COLUMNS " FROM policies WHERE pool = ?1",
	[SQL_POLICY_PUT] = "INSERT INTO policies (" POLICY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (pool) DO UPDATE"
			   " SET pcrs = excluded.pcrs, interval_s = excluded.interval_s, require = excluded.require,"
			   " ek_policy = excluded.ek_policy, note_clock = excluded.note_clock, note_firmware = excluded.note_firmware,"
			   " maintenance_until = excluded.maintenance_until, images = excluded.images",
	[SQL_PARKED_GET] = "SELECT " PARKED_COLUMNS " FROM parked WHERE uuid = ?1",
	[SQL_PARKED_PUT] = "INSERT INTO parked (" PARKED_COLUMNS ") VALUES (?1, ?2, ?3, ?4) ON CONFLICT (uuid) DO UPDATE SET"
			   " holder = excluded.holder, epoch = excluded.epoch, recalled_at = excluded.recalled_at",
	[SQL_PARKED_RECALLED] = "SELECT " PARKED_COLUMNS " FROM parked WHERE holder = ?1 AND recalled_at > 0 ORDER BY recalled_at LIMIT 1",
	[SQL_EK_GET] = "SELECT " EK_COLUMNS " FROM ek_certificates WHERE uuid = ?1",
	[SQL_EK_PUT] = "INSERT INTO ek_certificates (" EK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (uuid) DO UPDATE SET"
		       " generation = excluded.generation, endorsement_epoch = excluded.endorsement_epoch, ca = excluded.ca,"
		       " issued_at = excluded.issued_at, rsa = excluded.rsa, ecc = excluded.ecc",
	[SQL_EK_DROP] = "DELETE FROM ek_certificates WHERE uuid = ?1",
	[SQL_RETIREMENT_GET] = "SELECT " RETIREMENT_COLUMNS " FROM retirements WHERE uuid = ?1",
	[SQL_RETIREMENT_PUT] = "INSERT INTO retirements (" RETIREMENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (uuid)"
			       " DO UPDATE SET seed = excluded.seed, due_at = excluded.due_at, destroyed_at = excluded.destroyed_at, move = excluded.move,"
			       " recipient = excluded.recipient, destination = excluded.destination, move_epoch = excluded.move_epoch",
	[SQL_RETIREMENT_DROP] = "DELETE FROM retirements WHERE uuid = ?1",
	[SQL_RETIREMENT_DUE] = "SELECT " RETIREMENT_COLUMNS " FROM retirements WHERE destroyed_at = 0 AND due_at <= ?1 AND move IS NULL"
			       " ORDER BY due_at LIMIT 1",
	[SQL_ARRIVAL_GET] = "SELECT " ARRIVAL_COLUMNS " FROM arrivals WHERE uuid = ?1",
	[SQL_ARRIVAL_OF] = "SELECT " ARRIVAL_COLUMNS " FROM arrivals WHERE key_uuid = ?1 AND key_generation = ?2 ORDER BY uuid LIMIT 1",
	[SQL_ARRIVAL_PUT] = "INSERT INTO arrivals (" ARRIVAL_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (uuid) DO UPDATE SET"
			    " move = excluded.move, sender = excluded.sender, sender_name = excluded.sender_name, key_uuid = excluded.key_uuid,"
			    " key_generation = excluded.key_generation, move_epoch = excluded.move_epoch, arrived_at = excluded.arrived_at",
	[SQL_AUTHORITY_NEXT] = "SELECT number, state, certificate, key, made_at FROM authorities WHERE number > ?1 ORDER BY number LIMIT 1",
	[SQL_AUTHORITY_PUT] = "INSERT INTO authorities (number, state, certificate, key, made_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (number)"
			      " DO UPDATE SET state = excluded.state, key = excluded.key",
	[SQL_SERVER_PUT] = "INSERT INTO servers (name, authority, started_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET"
			   " authority = excluded.authority, started_at = excluded.started_at",
	[SQL_SERVER_NEXT] = "SELECT name, authority, started_at FROM servers WHERE name > ?1 ORDER BY name LIMIT 1",
	[SQL_TRUST_GET] = "SELECT authority FROM host_trust WHERE host = ?1",
	[SQL_TRUST_PUT] = "INSERT INTO host_trust (host, authority) VALUES (?1, ?2) ON CONFLICT (host) DO UPDATE SET authority = excluded.authority",
	[SQL_HOSTCERT_GET] = "SELECT " HOSTCERT_COLUMNS " FROM host_certificates WHERE host = ?1 AND fingerprint = ?2",
	[SQL_HOSTCERT_NEWEST] = "SELECT " HOSTCERT_COLUMNS " FROM host_certificates WHERE host = ?1 ORDER BY issued_at DESC, used_at, fingerprint LIMIT 1",
	[SQL_HOSTCERT_PUT] = "INSERT INTO host_certificates (" HOSTCERT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (host, fingerprint)"
			     " DO UPDATE SET used_at = excluded.used_at",
	[SQL_HOSTCERT_PRUNE] = "DELETE FROM host_certificates WHERE host = ?1 AND fingerprint <> ?2 AND fingerprint NOT IN (SELECT c.fingerprint"
			       " FROM host_certificates c WHERE c.host = ?1 AND c.fingerprint <> ?2 ORDER BY c.issued_at DESC, c.fingerprint LIMIT ?3)",
	[SQL_HOSTCERT_DROP] = "DELETE FROM host_certificates WHERE host = ?1",
	[SQL_WRAPPING_LAST] = "SELECT " WRAPPING_COLUMNS " FROM wrapping_keys ORDER BY number DESC LIMIT 1",
	[SQL_WRAPPING_GET] = "SELECT " WRAPPING_COLUMNS " FROM wrapping_keys WHERE number = ?1",
	[SQL_WRAPPING_PUT] = "INSERT INTO wrapping_keys (" WRAPPING_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (number) DO UPDATE SET"
			     " sealed = excluded.sealed, used_at = excluded.used_at, done_at = excluded.done_at",
	[SQL_WRAPPING_KMC_GET] = "SELECT " WRAPPING_KMC_COLUMNS " FROM wrapping_kmcs WHERE kmc = ?1",
	[SQL_WRAPPING_KMC_PUT] = "INSERT INTO wrapping_kmcs (" WRAPPING_KMC_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (kmc) DO UPDATE SET"
				 " newest = excluded.newest, oldest = excluded.oldest, beat = excluded.beat, trouble = excluded.trouble",
	[SQL_WRAPPING_KMC_NEXT] = "SELECT " WRAPPING_KMC_COLUMNS " FROM wrapping_kmcs WHERE kmc > ?1 ORDER BY kmc LIMIT 1",
	[SQL_WRAPPING_KMC_DROP] = "DELETE FROM wrapping_kmcs WHERE kmc = ?1",
	[SQL_WRAPPED_SEED_NEXT] = "SELECT uuid, pool, generation, seed FROM vtpms WHERE uuid > ?2 AND seed IS NOT NULL AND " UNDER("seed") " <> ?1"
				  " ORDER BY uuid LIMIT 1",
	[SQL_WRAPPED_RETIRED_NEXT] = "SELECT r.uuid, v.pool, v.generation, r.seed FROM retirements r JOIN vtpms v ON v.uuid = r.uuid"
				     " WHERE r.uuid > ?2 AND r.seed IS NOT NULL AND " UNDER("r.seed") " <> ?1 ORDER BY r.uuid LIMIT 1",
	[SQL_WRAPPED_KEY_NEXT] = "SELECT id, host, created_at, wrapped FROM protection_keys WHERE id > ?2 AND " UNDER("wrapped") " <> ?1"
				 " ORDER BY id LIMIT 1",
	[SQL_WRAPPED_AUTHORITY_NEXT] = "SELECT number, CAST('' AS TEXT), made_at, key FROM authorities WHERE number > ?2 AND key IS NOT NULL AND " UNDER("key")
				       " <> ?1 ORDER BY number LIMIT 1",
	[SQL_WRAPPED_SEED_SWAP] = "UPDATE vtpms SET seed = ?3 WHERE uuid = ?1 AND seed = ?2",
	[SQL_WRAPPED_RETIRED_SWAP] = "UPDATE retirements SET seed = ?3 WHERE uuid = ?1 AND seed = ?2",
	[SQL_WRAPPED_KEY_SWAP] = "UPDATE protection_keys SET wrapped = ?3 WHERE id = ?1 AND wrapped = ?2",
	[SQL_WRAPPED_AUTHORITY_SWAP] = "UPDATE authorities SET key = ?3 WHERE number = ?1 AND key = ?2",
	[SQL_WRAPPED_COUNT] = "SELECT (SELECT count(*) FROM vtpms WHERE seed IS NOT NULL) + (SELECT count(*) FROM retirements WHERE seed IS NOT NULL)"
			      " + (SELECT count(*) FROM protection_keys) + (SELECT count(*) FROM authorities WHERE key IS NOT NULL),"
			      " (SELECT count(*) FROM vtpms WHERE seed IS NOT NULL AND " UNDER("seed") " <> ?1)"
			      " + (SELECT count(*) FROM retirements WHERE seed IS NOT NULL AND " UNDER("seed") " <> ?1)"
			      " + (SELECT count(*) FROM protection_keys WHERE " UNDER("wrapped") " <> ?1)"
			      " + (SELECT count(*) FROM authorities WHERE key IS NOT NULL AND " UNDER("key") " <> ?1)",
};
