/* TPM 1.2 commands in terms of TPM 2.0. Names and numbers: TPM Main Specification 1.2, parts 2 and 3. */
#include "vtpm-stubdom/tpm12.h"

#include <string.h>

#include "common/buf.h"
#include "common/error.h"

enum { TAG_RQU_COMMAND = 0x00c1, TAG_RQU_AUTH2 = 0x00c3, TAG_RSP_COMMAND = 0x00c4 };
enum { ST_NO_SESSIONS = 0x8001, ST_SESSIONS = 0x8002 };
enum { ALG_SHA1 = 0x0004, RS_PW = 0x40000009 };
enum { CC_SELF_TEST = 0x143, CC_GET_RANDOM = 0x17b, CC_PCR_READ = 0x17e, CC_PCR_EXTEND = 0x182 };
enum { RC2_INITIALIZE = 0x100 };

enum ordinal {
	ORD_EXTEND = 0x14,
	ORD_PCR_READ = 0x15,
	ORD_GET_RANDOM = 0x46,
	ORD_SELF_TEST_FULL = 0x50,
	ORD_CONTINUE_SELF_TEST = 0x53,
	ORD_GET_CAPABILITY = 0x65,
	ORD_SAVE_STATE = 0x98,
	ORD_STARTUP = 0x99,
};

enum result {
	RES_SUCCESS = 0x00,
	RES_BADINDEX = 0x02,
	RES_BAD_PARAMETER = 0x03,
	RES_FAIL = 0x09,
	RES_BAD_ORDINAL = 0x0a,
	RES_BAD_PARAM_SIZE = 0x19,
	RES_BADTAG = 0x1e,
	RES_INVALID_POSTINIT = 0x26,
	RES_BAD_MODE = 0x2c,
};

enum { CAP_FLAG = 4, CAP_PROPERTY = 5, CAP_VERSION = 6, CAP_VERSION_VAL = 0x1a };
enum { FLAG_PERMANENT = 0x108, FLAG_VOLATILE = 0x109 };
enum { PROP_PCR = 0x101, PROP_MANUFACTURER = 0x103, PROP_OWNER = 0x111, PROP_TIS_TIMEOUT = 0x115, PROP_DURATION = 0x120, PROP_INPUT_BUFFER = 0x124 };

#define PCRS 24
#define SHA1_SIZE 20
#define RANDOM_MAX 128 /* bytes at once: what Linux asks for at most */
#define HEADER_SIZE 10

/* Microseconds. The vTPM has no bus that could hang: the values only keep a loaded host from looking like a broken TPM. */
static const uint32_t timeouts_us[] = {750000, 2000000, 750000, 750000};	   /* A to D */
static const uint32_t durations_us[] = {20 * 1000000, 60 * 1000000, 120 * 1000000}; /* short, medium, long */

struct exchange {
	struct buf in;	/* behind the header */
	struct buf *out; /* behind the header */
	tpm12_process_fn *process;
	void *arg;
};

/* Finish a TPM 2.0 command, whose size stands at its bytes 2 to 5, execute it, and leave @reply at its parameters. */
static enum result ask(struct exchange *x, struct buf *command, struct buf *reply)
{
	const uint8_t *p;
	struct buf size;
	uint16_t tag;
	uint32_t rc, n_said;
	size_t n;

	buf_over(&size, command->data + 2, sizeof(uint32_t));
	buf_put_u32(&size, (uint32_t)command->len);
	if (x->process(x->arg, command->data, command->len, &p, &n) != 0)
		return RES_FAIL;
	buf_view(reply, p, n);
	if (buf_get_u16(reply, &tag) != 0 || buf_get_u32(reply, &n_said) != 0 || n_said != n || buf_get_u32(reply, &rc) != 0)
		return RES_FAIL;
	if (rc == RC2_INITIALIZE)
		return RES_INVALID_POSTINIT;
	return rc == 0 ? RES_SUCCESS : RES_FAIL;
}

static void begin(struct buf *command, uint8_t *bytes, size_t cap, uint16_t tag, uint32_t code)
{
	buf_over(command, bytes, cap);
	buf_put_u16(command, tag);
	buf_put_u32(command, 0);
	buf_put_u32(command, code);
}

static enum result read_pcr(struct exchange *x, uint32_t pcr)
{
	uint8_t bytes[32], select[3] = {0};
	struct buf command, reply;
	uint32_t update, banks, digests;
	uint16_t alg, n;
	uint8_t n_select;
	const uint8_t *p;
	enum result r;

	if (pcr >= PCRS)
		return RES_BADINDEX;
	select[pcr / 8] = (uint8_t)(1 << pcr % 8);
	begin(&command, bytes, sizeof(bytes), ST_NO_SESSIONS, CC_PCR_READ);
	buf_put_u32(&command, 1);
	buf_put_u16(&command, ALG_SHA1);
	buf_put_u8(&command, sizeof(select));
	buf_put(&command, select, sizeof(select));
	r = ask(x, &command, &reply);
	if (r != RES_SUCCESS)
		return r;
	if (buf_get_u32(&reply, &update) != 0 || buf_get_u32(&reply, &banks) != 0 || banks != 1 || buf_get_u16(&reply, &alg) != 0 ||
	    alg != ALG_SHA1 || buf_get_u8(&reply, &n_select) != 0 || buf_get_view(&reply, &p, n_select) != 0 ||
	    buf_get_u32(&reply, &digests) != 0 || digests != 1 || /* 0: the SHA-1 bank is switched off */
	    buf_get_u16(&reply, &n) != 0 || n != SHA1_SIZE || buf_get_view(&reply, &p, n) != 0)
		return RES_FAIL;
	buf_put(x->out, p, n);
	return RES_SUCCESS;
}

static enum result pcr_read(struct exchange *x)
{
	uint32_t pcr;

	if (buf_get_u32(&x->in, &pcr) != 0 || buf_done(&x->in) != 0)
		return RES_BAD_PARAM_SIZE;
	return read_pcr(x, pcr);
}

static enum result extend(struct exchange *x)
{
	uint8_t bytes[64];
	struct buf command, reply;
	const uint8_t *digest;
	uint32_t pcr;
	enum result r;

	if (buf_get_u32(&x->in, &pcr) != 0 || buf_get_view(&x->in, &digest, SHA1_SIZE) != 0 || buf_done(&x->in) != 0)
		return RES_BAD_PARAM_SIZE;
	if (pcr >= PCRS)
		return RES_BADINDEX;
	begin(&command, bytes, sizeof(bytes), ST_SESSIONS, CC_PCR_EXTEND);
	buf_put_u32(&command, pcr);
	buf_put_u32(&command, 9); /* bytes of the one authorisation: an empty password */
	buf_put_u32(&command, RS_PW);
	buf_put_u16(&command, 0);
	buf_put_u8(&command, 0);
	buf_put_u16(&command, 0);
	buf_put_u32(&command, 1);
	buf_put_u16(&command, ALG_SHA1);
	buf_put(&command, digest, SHA1_SIZE);
	r = ask(x, &command, &reply);
	return r == RES_SUCCESS ? read_pcr(x, pcr) : r;
}

static enum result get_random(struct exchange *x)
{
	uint8_t bytes[HEADER_SIZE + 2];
	struct buf command, reply;
	uint32_t wanted, start = (uint32_t)x->out->len;
	struct buf length;
	enum result r;

	if (buf_get_u32(&x->in, &wanted) != 0 || buf_done(&x->in) != 0)
		return RES_BAD_PARAM_SIZE;
	if (wanted > RANDOM_MAX)
		wanted = RANDOM_MAX;
	buf_put_u32(x->out, 0);
	/* TPM 2.0 gives at most a digest's bytes at once. */
	for (uint32_t done = 0; done < wanted;) {
		uint16_t n;
		const uint8_t *p;

		begin(&command, bytes, sizeof(bytes), ST_NO_SESSIONS, CC_GET_RANDOM);
		buf_put_u16(&command, (uint16_t)(wanted - done));
		r = ask(x, &command, &reply);
		if (r != RES_SUCCESS)
			return r;
		if (buf_get_u16(&reply, &n) != 0 || n == 0 || n > wanted - done || buf_get_view(&reply, &p, n) != 0)
			return RES_FAIL;
		buf_put(x->out, p, n);
		done += n;
	}
	buf_over(&length, x->out->data + start, sizeof(uint32_t));
	buf_put_u32(&length, wanted);
	return RES_SUCCESS;
}

static enum result self_test(struct exchange *x)
{
	uint8_t bytes[HEADER_SIZE + 1];
	struct buf command, reply;

	if (buf_done(&x->in) != 0)
		return RES_BAD_PARAM_SIZE;
	begin(&command, bytes, sizeof(bytes), ST_NO_SESSIONS, CC_SELF_TEST);
	buf_put_u8(&command, 0); /* only what was not tested yet */
	return ask(x, &command, &reply);
}

/* The guest's kernel is about to sleep. Its TPM does not: nothing is lost, and a TPM2_Shutdown would only spoil the next start. */
static enum result save_state(struct exchange *x)
{
	return buf_done(&x->in) == 0 ? RES_SUCCESS : RES_BAD_PARAM_SIZE;
}

static enum result startup(struct exchange *x)
{
	(void)x;
	return RES_INVALID_POSTINIT; /* done before the guest ran */
}

static void put_list(struct buf *out, const uint32_t *v, size_t n)
{
	buf_put_u32(out, (uint32_t)(n * sizeof(*v)));
	for (size_t i = 0; i < n; i++)
		buf_put_u32(out, v[i]);
}

static enum result property(struct buf *sub, struct buf *out)
{
	uint32_t what, manufacturer = 0x49424d00; /* "IBM", as libtpms' own */
	uint32_t value;

	if (buf_get_u32(sub, &what) != 0 || buf_done(sub) != 0)
		return RES_BAD_MODE;
	switch (what) {
	case PROP_TIS_TIMEOUT:
		put_list(out, timeouts_us, 4);
		return RES_SUCCESS;
	case PROP_DURATION:
		put_list(out, durations_us, 3);
		return RES_SUCCESS;
	case PROP_MANUFACTURER:
		put_list(out, &manufacturer, 1);
		return RES_SUCCESS;
	case PROP_PCR:
	case PROP_INPUT_BUFFER:
		value = what == PROP_PCR ? PCRS : 4088;
		put_list(out, &value, 1);
		return RES_SUCCESS;
	case PROP_OWNER:
		buf_put_u32(out, 1);
		buf_put_u8(out, 0); /* no TPM 1.2 owner */
		return RES_SUCCESS;
	default:
		return RES_BAD_MODE;
	}
}

/* TPM_PERMANENT_FLAGS, all clear (enabled, active, ownable by nobody), or TPM_STCLEAR_FLAGS. */
static enum result flags(struct buf *sub, struct buf *out)
{
	static const uint8_t permanent[2 + 20] = {0x00, 0x1f}, stclear[2 + 5] = {0x00, 0x20};
	uint32_t what;

	if (buf_get_u32(sub, &what) != 0 || buf_done(sub) != 0 || (what != FLAG_PERMANENT && what != FLAG_VOLATILE))
		return RES_BAD_MODE;
	buf_put_u32(out, what == FLAG_PERMANENT ? sizeof(permanent) : sizeof(stclear));
	buf_put(out, what == FLAG_PERMANENT ? permanent : stclear, what == FLAG_PERMANENT ? sizeof(permanent) : sizeof(stclear));
	return RES_SUCCESS;
}

static enum result get_capability(struct exchange *x)
{
	static const uint8_t version[] = {0, 0, 0, 4, 1, 1, 0, 0}, /* size, TPM_STRUCT_VER 1.1 */
		info[] = {0, 0, 0, 15, 0x00, 0x30, 1, 2, 0, 0, 0x00, 0x02, 0x03, 'I', 'B', 'M', 0, 0, 0}; /* TPM_CAP_VERSION_INFO */
	uint32_t cap, n;
	const uint8_t *p;
	struct buf sub;

	if (buf_get_u32(&x->in, &cap) != 0 || buf_get_u32(&x->in, &n) != 0 || buf_get_view(&x->in, &p, n) != 0 || buf_done(&x->in) != 0)
		return RES_BAD_PARAM_SIZE;
	buf_view(&sub, p, n);
	switch (cap) {
	case CAP_PROPERTY:
		return property(&sub, x->out);
	case CAP_FLAG:
		return flags(&sub, x->out);
	case CAP_VERSION:
		buf_put(x->out, version, sizeof(version));
		return RES_SUCCESS;
	case CAP_VERSION_VAL:
		buf_put(x->out, info, sizeof(info));
		return RES_SUCCESS;
	default:
		return RES_BAD_MODE;
	}
}

static const struct {
	enum ordinal ordinal;
	enum result (*answer)(struct exchange *x);
} commands[] = {
	{ORD_EXTEND, extend},
	{ORD_PCR_READ, pcr_read},
	{ORD_GET_RANDOM, get_random},
	{ORD_SELF_TEST_FULL, self_test},
	{ORD_CONTINUE_SELF_TEST, self_test},
	{ORD_GET_CAPABILITY, get_capability},
	{ORD_SAVE_STATE, save_state},
	{ORD_STARTUP, startup},
};

static enum result dispatch(struct exchange *x, size_t n)
{
	uint16_t tag;
	uint32_t size, ordinal;

	if (buf_get_u16(&x->in, &tag) != 0 || buf_get_u32(&x->in, &size) != 0 || buf_get_u32(&x->in, &ordinal) != 0 || size != n)
		return RES_BAD_PARAM_SIZE;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].ordinal == ordinal)
			return tag == TAG_RQU_COMMAND ? commands[i].answer(x) : RES_BADTAG; /* none of them takes authorisation */
	return RES_BAD_ORDINAL;
}

bool tpm12_is_command(const uint8_t *command, size_t n)
{
	return n >= 2 && command[0] == 0 && command[1] >= TAG_RQU_COMMAND && command[1] <= TAG_RQU_AUTH2;
}

size_t tpm12_process(const uint8_t *command, size_t n, tpm12_process_fn *process, void *arg, uint8_t response[TPM12_RESPONSE_MAX])
{
	struct buf head, body;
	struct exchange x = {.out = &body, .process = process, .arg = arg};
	enum result r;

	buf_view(&x.in, command, n);
	buf_over(&body, response + HEADER_SIZE, TPM12_RESPONSE_MAX - HEADER_SIZE);
	r = dispatch(&x, n);
	if (r != RES_SUCCESS)
		body.len = 0;
	buf_over(&head, response, HEADER_SIZE);
	buf_put_u16(&head, TAG_RSP_COMMAND);
	buf_put_u32(&head, (uint32_t)(HEADER_SIZE + body.len));
	buf_put_u32(&head, (uint32_t)r);
	return HEADER_SIZE + body.len;
}
