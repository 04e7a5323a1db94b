/* The control socket's message table. */
#include "kmc/admmsg.h"

#include "common/buf.h"
#include "common/error.h"

#define NAME(key, s, m) MSG_FIELD_TEXT(key, s, m, 1, KMC_NAME_MAX)
#define NAME_OPT(key, s, m) MSG_FIELD_TEXT_OPT(key, s, m, 1, KMC_NAME_MAX)

static const struct msg_field status_reply[] = {
	NAME(3, struct adm_status_reply, kmc),
	MSG_FIELD_TEXT(4, struct adm_status_reply, address, 1, 300),
	NAME(5, struct adm_status_reply, store),
	MSG_FIELD_UINT(6, struct adm_status_reply, started_at, UINT64_MAX),
	MSG_FIELD_UINT(7, struct adm_status_reply, hosts, UINT64_MAX),
	MSG_FIELD_UINT(8, struct adm_status_reply, vtpms, UINT64_MAX),
	MSG_FIELD_UINT(9, struct adm_status_reply, held, UINT64_MAX),
	MSG_FIELD_UINT(10, struct adm_status_reply, states, UINT64_MAX),
	MSG_FIELD_UINT(11, struct adm_status_reply, state_bytes, UINT64_MAX),
	MSG_FIELD_UINT(12, struct adm_status_reply, opens, UINT64_MAX),
	MSG_FIELD_UINT(13, struct adm_status_reply, refusals, UINT64_MAX),
	MSG_FIELD_UINT(14, struct adm_status_reply, wrapping, UINT32_MAX),
	MSG_FIELD_UINT(15, struct adm_status_reply, rewrap_left, UINT64_MAX),
};

static const struct msg_field list[] = {
	MSG_FIELD_BYTES_OPT(3, struct adm_list, after, 1, KMC_NAME_MAX),
};

static const struct msg_field pool[] = {
	NAME(3, struct adm_pool, name),
	MSG_FIELD_UINT(4, struct adm_pool, registered_only, 1),
};

static const struct msg_field pool_put[] = {
	NAME(3, struct adm_pool_put, name),
	MSG_FIELD_UINT(4, struct adm_pool_put, registered_only, 1),
	MSG_FIELD_UINT(5, struct adm_pool_put, create, 1),
};

static const struct msg_field host[] = {
	NAME(3, struct adm_host, name),
	NAME(4, struct adm_host, pool),
	MSG_FIELD_UINT(5, struct adm_host, removed, 1),
	MSG_FIELD_UINT(6, struct adm_host, added_at, UINT64_MAX),
	MSG_FIELD_UINT(7, struct adm_host, expires_at, UINT64_MAX),
	MSG_FIELD_UINT(8, struct adm_host, software_key, 1),
	MSG_FIELD_UINT(9, struct adm_host, enrolled, 1),
	MSG_FIELD_UINT(10, struct adm_host, ek_check, 255),
	MSG_FIELD_BYTES_OPT(11, struct adm_host, ek, 32, 32),
	MSG_FIELD_UINT(12, struct adm_host, attested_at, UINT64_MAX),
	MSG_FIELD_UINT(13, struct adm_host, failed, 1),
	MSG_FIELD_TEXT_OPT(14, struct adm_host, reason, 1, 240),
	MSG_FIELD_BYTES_OPT(15, struct adm_host, image, 32, 32),
	MSG_FIELD_UINT(16, struct adm_host, issued_at, UINT64_MAX),
	MSG_FIELD_UINT(17, struct adm_host, renewed_at, UINT64_MAX),
	MSG_FIELD_UINT(18, struct adm_host, overdue, 1),
};

static const struct msg_field host_add[] = {
	NAME(3, struct adm_host_add, name),
	NAME(4, struct adm_host_add, pool),
	MSG_FIELD_BYTES(5, struct adm_host_add, spki, 1, 512),
	MSG_FIELD_UINT(6, struct adm_host_add, not_before, INT64_MAX),
	MSG_FIELD_UINT(7, struct adm_host_add, not_after, INT64_MAX),
};

static const struct msg_field host_added[] = {
	MSG_FIELD_BYTES(3, struct adm_host_added, cert, 1, 2048),
	MSG_FIELD_BYTES(4, struct adm_host_added, ca, 1, 2048),
	MSG_FIELD_TEXT(5, struct adm_host_added, address, 1, 300),
};

static const struct msg_field name[] = {
	NAME_OPT(3, struct adm_name, name),
};

static const struct msg_field vtpm[] = {
	MSG_FIELD_UUID(3, struct adm_vtpm, uuid),
	NAME(4, struct adm_vtpm, pool),
	NAME_OPT(5, struct adm_vtpm, holder),
	NAME_OPT(6, struct adm_vtpm, last_holder),
	MSG_FIELD_UINT(7, struct adm_vtpm, generation, UINT32_MAX),
	MSG_FIELD_UINT(8, struct adm_vtpm, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(9, struct adm_vtpm, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(10, struct adm_vtpm, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(11, struct adm_vtpm, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(12, struct adm_vtpm, state_version, UINT64_MAX),
	MSG_FIELD_UINT(13, struct adm_vtpm, has_seed, 1),
	MSG_FIELD_UINT(14, struct adm_vtpm, created_at, UINT64_MAX),
	MSG_FIELD_UINT(15, struct adm_vtpm, opened_at, UINT64_MAX),
	MSG_FIELD_UINT(16, struct adm_vtpm, stored_at, UINT64_MAX),
	MSG_FIELD_UINT(17, struct adm_vtpm, suspended, 1),
	MSG_FIELD_UINT(18, struct adm_vtpm, image, UINT32_MAX),
	MSG_FIELD_UINT(19, struct adm_vtpm, suspended_at, UINT64_MAX),
	NAME_OPT(20, struct adm_vtpm, reserver),
	MSG_FIELD_UINT(21, struct adm_vtpm, reserved_at, UINT64_MAX),
	MSG_FIELD_UINT(22, struct adm_vtpm, parked, 1),
	MSG_FIELD_UINT(23, struct adm_vtpm, due_at, UINT64_MAX),
	MSG_FIELD_UINT(24, struct adm_vtpm, destroyed_at, UINT64_MAX),
	MSG_FIELD_BYTES_OPT(25, struct adm_vtpm, sharing, UUID_SIZE, 512),
	MSG_FIELD_UINT(26, struct adm_vtpm, sharers, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(27, struct adm_vtpm, moving, 1, KMC_NAME_MAX),
	MSG_FIELD_TEXT_OPT(28, struct adm_vtpm, came_from, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(29, struct adm_vtpm, came_at, UINT64_MAX),
};

static const struct msg_field move_card[] = {
	MSG_FIELD_BYTES(3, struct adm_move_card, card, 1, MOVE_CARD_MAX),
};

static const struct msg_field export[] = {
	MSG_FIELD_UUID(3, struct adm_export, uuid),
	MSG_FIELD_BYTES(4, struct adm_export, card, 1, MOVE_CARD_MAX),
	MSG_FIELD_BYTES(5, struct adm_export, fingerprint, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
};

static const struct msg_field exported[] = {
	MSG_FIELD_BYTES(3, struct adm_exported, package, 1, MOVE_PACKAGE_MAX),
	MSG_FIELD_UINT(4, struct adm_exported, repeated, 1),
};

static const struct msg_field state_bytes[] = {
	MSG_FIELD_BYTES(3, struct adm_state_bytes, state, 1, KMC_STATE_MAX),
};

static const struct msg_field import[] = {
	MSG_FIELD_BYTES(3, struct adm_import, package, 1, MOVE_PACKAGE_MAX),
	MSG_FIELD_BYTES_OPT(4, struct adm_import, state, 1, KMC_STATE_MAX),
	MSG_FIELD_BYTES(5, struct adm_import, fingerprint, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
	MSG_FIELD_TEXT_OPT(6, struct adm_import, pool, 1, KMC_NAME_MAX),
};

static const struct msg_field imported[] = {
	MSG_FIELD_BYTES(3, struct adm_imported, receipt, 1, MOVE_RECEIPT_MAX),
	MSG_FIELD_UUID(4, struct adm_imported, uuid),
	MSG_FIELD_UINT(5, struct adm_imported, repeated, 1),
};

static const struct msg_field state_put[] = {
	MSG_FIELD_UUID(3, struct statefile, uuid),
	MSG_FIELD_UINT(4, struct statefile, lease_epoch, INT64_MAX),
	MSG_FIELD_UINT(5, struct statefile, version, INT64_MAX),
	MSG_FIELD_UINT(6, struct statefile, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(7, struct statefile, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct statefile, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(9, struct statefile, state, 1, KMC_STATE_MAX),
};

static const struct msg_field moved[] = {
	MSG_FIELD_BYTES(3, struct adm_moved, receipt, 1, MOVE_RECEIPT_MAX),
};

static const struct msg_field uuid[] = {
	MSG_FIELD_UUID(3, struct adm_uuid, uuid),
};

static const struct msg_field registration[] = {
	MSG_FIELD_UUID(3, struct adm_register, uuid),
	NAME(4, struct adm_register, pool),
};

static const struct msg_field end[] = {
	MSG_FIELD_UINT(3, struct adm_end, more, 1),
};

static const struct msg_field token_add[] = {
	NAME(3, struct adm_token_add, name),
	NAME(4, struct adm_token_add, pool),
	MSG_FIELD_UINT(5, struct adm_token_add, ttl, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(6, struct adm_token_add, ek, 32, 32),
};

static const struct msg_field token[] = {
	MSG_FIELD_TEXT(3, struct adm_token, text, 1, 512),
	MSG_FIELD_UINT(4, struct adm_token, expires_at, UINT64_MAX),
};

static const struct msg_field policy[] = {
	NAME(3, struct adm_policy, pool),
	MSG_FIELD_UINT(4, struct adm_policy, pcrs, 0xffffff),
	MSG_FIELD_UINT(5, struct adm_policy, interval, UINT32_MAX),
	MSG_FIELD_UINT(6, struct adm_policy, require, 1),
	MSG_FIELD_UINT(7, struct adm_policy, ek, 2),
	MSG_FIELD_UINT(8, struct adm_policy, note_clock, 1),
	MSG_FIELD_UINT(9, struct adm_policy, note_firmware, 1),
	MSG_FIELD_UINT(10, struct adm_policy, maintenance_until, INT64_MAX),
	MSG_FIELD_BYTES_OPT(11, struct adm_policy, images, 32, 256),
};

static const struct msg_field failed[] = {
	MSG_FIELD_UINT(3, struct adm_failed, code, 255),
	MSG_FIELD_TEXT(4, struct adm_failed, reason, 1, ADM_REASON_MAX),
};

static const struct msg_field audit_list[] = {
	MSG_FIELD_UINT(3, struct adm_audit_list, after, INT64_MAX),
};

static const struct msg_field audit_record[] = {
	MSG_FIELD_UINT(3, struct adm_audit_record, seq, UINT64_MAX),
	MSG_FIELD_BYTES(4, struct adm_audit_record, record, 1, AUDIT_RECORD_MAX),
};

static const struct msg_field audit_head[] = {
	MSG_FIELD_BYTES(3, struct adm_audit_head, head, 1, AUDIT_HEAD_MAX),
};

static const struct msg_field audit_chain[] = {
	MSG_FIELD_UINT(3, struct adm_audit_chain, seq, UINT64_MAX),
	MSG_FIELD_BYTES(4, struct adm_audit_chain, hash, AUDIT_HASH_SIZE, AUDIT_HASH_SIZE),
};

static const struct msg_field state[] = {
	MSG_FIELD_UINT(3, struct adm_state, version, UINT64_MAX),
	MSG_FIELD_UINT(4, struct adm_state, size, UINT64_MAX),
	MSG_FIELD_UINT(5, struct adm_state, owner_epoch, UINT64_MAX),
	MSG_FIELD_UINT(6, struct adm_state, endorsement_epoch, UINT64_MAX),
	MSG_FIELD_UINT(7, struct adm_state, platform_epoch, UINT64_MAX),
	MSG_FIELD_UINT(8, struct adm_state, stored_at, UINT64_MAX),
	MSG_FIELD_UINT(9, struct adm_state, newest, 1),
};

static const struct msg_field image[] = {
	MSG_FIELD_UINT(3, struct adm_image, image, UINT32_MAX),
	MSG_FIELD_UINT(4, struct adm_image, version, UINT64_MAX),
	MSG_FIELD_UINT(5, struct adm_image, suspended_at, UINT64_MAX),
	MSG_FIELD_UINT(6, struct adm_image, fits, 1),
};

static const struct msg_field image_allow[] = {
	MSG_FIELD_UUID(3, struct adm_image_allow, uuid),
	MSG_FIELD_UINT(4, struct adm_image_allow, image, UINT32_MAX),
};

static const struct msg_field state_restore[] = {
	MSG_FIELD_UUID(3, struct adm_state_restore, uuid),
	MSG_FIELD_UINT(4, struct adm_state_restore, version, INT64_MAX),
};

static const struct msg_field replica_add[] = {
	NAME(3, struct adm_replica_add, name),
	MSG_FIELD_BYTES(4, struct adm_replica_add, ek, 1, 512),
	MSG_FIELD_BYTES(5, struct adm_replica_add, storage, 1, 512),
	MSG_FIELD_BYTES(6, struct adm_replica_add, authority, 64, 64),
	MSG_FIELD_BYTES(7, struct adm_replica_add, signature, 1, 80),
	MSG_FIELD_TEXT(8, struct adm_replica_add, remark, 1, 200),
};

static const struct msg_field replica_copy[] = {
	NAME(3, struct adm_replica_copy, kmc),
	MSG_FIELD_BYTES(4, struct adm_replica_copy, credential, 1, 256),
	MSG_FIELD_BYTES(5, struct adm_replica_copy, secret, 1, 512),
	MSG_FIELD_BYTES(6, struct adm_replica_copy, public, 1, 512),
	MSG_FIELD_BYTES(7, struct adm_replica_copy, duplicate, 1, 512),
	MSG_FIELD_BYTES(8, struct adm_replica_copy, seed, 1, 512),
};

static const struct msg_field clone[] = {
	MSG_FIELD_UUID(3, struct adm_clone, from),
	MSG_FIELD_UUID(4, struct adm_clone, to),
	MSG_FIELD_UINT(5, struct adm_clone, share, 1),
};

static const struct msg_field retire[] = {
	MSG_FIELD_UUID(3, struct adm_retire, uuid),
	MSG_FIELD_UINT(4, struct adm_retire, grace, UINT32_MAX),
	MSG_FIELD_UINT(5, struct adm_retire, cancel, 1),
};

static const struct msg_field retirement[] = {
	MSG_FIELD_UINT(3, struct adm_retirement, due_at, UINT64_MAX),
	MSG_FIELD_UINT(4, struct adm_retirement, sharers, UINT64_MAX),
};

static const struct msg_field server_renew[] = {
	MSG_FIELD_BYTES(3, struct adm_server_renew, spki, 1, 512),
	MSG_FIELD_TEXT(4, struct adm_server_renew, names, 1, 1023),
	MSG_FIELD_UINT(5, struct adm_server_renew, not_before, INT64_MAX),
	MSG_FIELD_UINT(6, struct adm_server_renew, not_after, INT64_MAX),
};

static const struct msg_field server_renewed[] = {
	MSG_FIELD_BYTES(3, struct adm_server_renewed, cert, 1, 2048),
};

static const struct msg_field ca[] = {
	MSG_FIELD_UINT(3, struct adm_ca, number, UINT32_MAX),
	MSG_FIELD_UINT(4, struct adm_ca, state, UINT32_MAX),
	MSG_FIELD_UINT(5, struct adm_ca, made_at, UINT64_MAX),
	MSG_FIELD_BYTES(6, struct adm_ca, certificate, 1, 2048),
	MSG_FIELD_UINT(7, struct adm_ca, waiting, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(8, struct adm_ca, names, 1, ADM_REASON_MAX),
};

static const struct msg_field ca_renew[] = {
	MSG_FIELD_UINT(3, struct adm_ca_renew, not_before, INT64_MAX),
	MSG_FIELD_UINT(4, struct adm_ca_renew, not_after, INT64_MAX),
};

static const struct msg_field ca_change[] = {
	MSG_FIELD_UINT(3, struct adm_ca_change, force, 1),
};

static const struct msg_field ca_signs[] = {
	MSG_FIELD_BYTES(3, struct adm_ca_signs, certificate, 1, 2048),
};

static const struct msg_field wrapping[] = {
	MSG_FIELD_UINT(3, struct adm_wrapping, number, UINT32_MAX),
	MSG_FIELD_UINT(4, struct adm_wrapping, made_at, INT64_MAX),
	MSG_FIELD_UINT(5, struct adm_wrapping, used_at, INT64_MAX),
	MSG_FIELD_UINT(6, struct adm_wrapping, done_at, INT64_MAX),
	MSG_FIELD_UINT(7, struct adm_wrapping, all, UINT64_MAX),
	MSG_FIELD_UINT(8, struct adm_wrapping, left, UINT64_MAX),
	MSG_FIELD_UINT(9, struct adm_wrapping, damaged, UINT64_MAX),
};

static const struct msg_field wrapping_kmc[] = {
	NAME(3, struct adm_wrapping_kmc, name),
	MSG_FIELD_UINT(4, struct adm_wrapping_kmc, newest, UINT32_MAX),
	MSG_FIELD_UINT(5, struct adm_wrapping_kmc, oldest, UINT32_MAX),
	MSG_FIELD_TEXT_OPT(6, struct adm_wrapping_kmc, trouble, 1, ADM_REASON_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}
#define EMPTY(t, n) {.type = (t), .name = (n), .size = sizeof(struct adm_empty)}

static const struct msg_schema schemas[] = {
	EMPTY(ADM_STATUS, "status"),
	SCHEMA(ADM_STATUS_REPLY, "status reply", adm_status_reply, status_reply),
	SCHEMA(ADM_POOL_LIST, "pool list", adm_list, list),
	SCHEMA(ADM_POOL, "pool", adm_pool, pool),
	SCHEMA(ADM_POOL_PUT, "pool put", adm_pool_put, pool_put),
	SCHEMA(ADM_HOST_LIST, "host list", adm_list, list),
	SCHEMA(ADM_HOST, "host", adm_host, host),
	SCHEMA(ADM_HOST_ADD, "host add", adm_host_add, host_add),
	SCHEMA(ADM_HOST_ADDED, "host added", adm_host_added, host_added),
	SCHEMA(ADM_HOST_REMOVE, "host remove", adm_name, name),
	SCHEMA(ADM_VTPM_LIST, "vtpm list", adm_list, list),
	SCHEMA(ADM_VTPM, "vtpm", adm_vtpm, vtpm),
	SCHEMA(ADM_VTPM_SHOW, "vtpm show", adm_uuid, uuid),
	SCHEMA(ADM_VTPM_TAKEOVER, "vtpm takeover", adm_uuid, uuid),
	SCHEMA(ADM_VTPM_REGISTER, "vtpm register", adm_register, registration),
	SCHEMA(ADM_KEY_ROTATE, "key rotate", adm_name, name),
	EMPTY(ADM_DONE, "done"),
	SCHEMA(ADM_END, "end", adm_end, end),
	SCHEMA(ADM_FAILED, "failed", adm_failed, failed),
	SCHEMA(ADM_AUDIT_LIST, "audit list", adm_audit_list, audit_list),
	SCHEMA(ADM_AUDIT_RECORD, "audit record", adm_audit_record, audit_record),
	EMPTY(ADM_AUDIT_HEADS, "audit heads"),
	SCHEMA(ADM_AUDIT_HEAD, "audit head", adm_audit_head, audit_head),
	EMPTY(ADM_AUDIT_LAST, "audit last"),
	SCHEMA(ADM_AUDIT_CHAIN, "audit chain", adm_audit_chain, audit_chain),
	SCHEMA(ADM_STATE_LIST, "state list", adm_uuid, uuid),
	SCHEMA(ADM_STATE, "state", adm_state, state),
	SCHEMA(ADM_IMAGE_LIST, "image list", adm_uuid, uuid),
	SCHEMA(ADM_IMAGE, "image", adm_image, image),
	SCHEMA(ADM_IMAGE_ALLOW, "image allow", adm_image_allow, image_allow),
	SCHEMA(ADM_STATE_RESTORE, "state restore", adm_state_restore, state_restore),
	SCHEMA(ADM_TOKEN_ADD, "token add", adm_token_add, token_add),
	SCHEMA(ADM_TOKEN, "token", adm_token, token),
	SCHEMA(ADM_POLICY_SHOW, "policy show", adm_name, name),
	SCHEMA(ADM_POLICY, "policy", adm_policy, policy),
	SCHEMA(ADM_POLICY_SET, "policy set", adm_policy, policy),
	SCHEMA(ADM_POLICY_ACCEPT, "policy accept", adm_name, name),
	SCHEMA(ADM_REPLICA_ADD, "replica add", adm_replica_add, replica_add),
	SCHEMA(ADM_REPLICA_COPY, "replica copy", adm_replica_copy, replica_copy),
	SCHEMA(ADM_VTPM_CLONE, "vtpm clone", adm_clone, clone),
	SCHEMA(ADM_VTPM_REKEY, "vtpm rekey", adm_uuid, uuid),
	SCHEMA(ADM_VTPM_RETIRE, "vtpm retire", adm_retire, retire),
	SCHEMA(ADM_RETIREMENT, "retirement", adm_retirement, retirement),
	SCHEMA(ADM_SERVER_RENEW, "server renew", adm_server_renew, server_renew),
	SCHEMA(ADM_SERVER_RENEWED, "server renewed", adm_server_renewed, server_renewed),
	EMPTY(ADM_CA_LIST, "ca list"),
	SCHEMA(ADM_CA, "ca", adm_ca, ca),
	SCHEMA(ADM_CA_RENEW, "ca renew", adm_ca_renew, ca_renew),
	SCHEMA(ADM_CA_SWITCH, "ca switch", adm_ca_change, ca_change),
	SCHEMA(ADM_CA_SIGNS, "ca signs", adm_ca_signs, ca_signs),
	SCHEMA(ADM_CA_RETIRE, "ca retire", adm_ca_change, ca_change),
	EMPTY(ADM_KEY_REWRAP, "key rewrap"),
	EMPTY(ADM_KEY_LIST, "key list"),
	SCHEMA(ADM_WRAPPING, "wrapping", adm_wrapping, wrapping),
	SCHEMA(ADM_WRAPPING_KMC, "wrapping kmc", adm_wrapping_kmc, wrapping_kmc),
	SCHEMA(ADM_REPLICA_FORGET, "replica forget", adm_name, name),
	EMPTY(ADM_MOVE_KEY, "move key"),
	SCHEMA(ADM_MOVE_CARD, "move card", adm_move_card, move_card),
	SCHEMA(ADM_VTPM_EXPORT, "vtpm export", adm_export, export),
	SCHEMA(ADM_EXPORTED, "exported", adm_exported, exported),
	SCHEMA(ADM_STATE_BYTES, "state bytes", adm_state_bytes, state_bytes),
	SCHEMA(ADM_EXPORT_CANCEL, "export cancel", adm_uuid, uuid),
	SCHEMA(ADM_VTPM_IMPORT, "vtpm import", adm_import, import),
	SCHEMA(ADM_IMPORTED, "imported", adm_imported, imported),
	SCHEMA(ADM_VTPM_MOVED, "vtpm moved", adm_moved, moved),
	SCHEMA(ADM_STATE_PUT, "state put", statefile, state_put),
};

const struct msg_schema *adm_schema(uint64_t type)
{
	return msg_schema_find(schemas, COUNT(schemas), type);
}

int adm_write(struct buf *out, enum adm_type type, const void *fields)
{
	static const struct adm_empty none;
	const struct msg_schema *schema = adm_schema(type);

	return schema ? msg_write(out, schema, ADM_VERSION, 0, fields ? fields : &none) : E_ARG;
}
