/* Who may connect. */
#include "kmc/admission.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY 256	  /* addresses that are remembered beyond those that are connected */
#define TOKENS 1000	  /* of one connection: a token bucket that is filled in thousandths */

struct visitor {
	struct address_key key;
	unsigned int connections;
	uint64_t tokens, filled_ms;
	bool used;
};

struct admission {
	struct admission_rules rules;
	unsigned int connections;
	size_t n_visitors;
	struct visitor visitors[];
};

struct admission *admission_new(const struct admission_rules *rules)
{
	size_t n = rules->connections + MEMORY;
	struct admission *a = calloc(1, sizeof(*a) + n * sizeof(a->visitors[0]));

	if (a) {
		a->rules = *rules;
		a->n_visitors = n;
	}
	return a;
}

void admission_free(struct admission **a)
{
	free(*a);
	*a = NULL;
}

/* Who has a /64 has all its addresses. */
static struct address_key to_network(struct address_key key)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (memcmp(key.b, mapped, sizeof(mapped)) != 0)
		memset(key.b + 8, 0, 8);
	return key;
}

static struct visitor *find(struct admission *a, const struct address_key *key)
{
	for (size_t i = 0; i < a->n_visitors; i++)
		if (a->visitors[i].used && memcmp(&a->visitors[i].key, key, sizeof(*key)) == 0)
			return &a->visitors[i];
	return NULL;
}

/* A place for a newcomer: a free one, or that of who was here last the longest time ago. */
static struct visitor *place(struct admission *a, const struct address_key *key, uint64_t now_ms)
{
	struct visitor *best = NULL;

	for (size_t i = 0; i < a->n_visitors; i++) {
		struct visitor *v = &a->visitors[i];

		if (!v->connections && (!best || !v->used || (best->used && v->filled_ms < best->filled_ms)))
			best = v;
	}
	if (best)
		*best = (struct visitor){.key = *key, .tokens = 2ull * a->rules.rate * TOKENS, .filled_ms = now_ms, .used = true};
	return best;
}

static void fill(struct visitor *v, unsigned int rate, uint64_t now_ms)
{
	uint64_t most = 2ull * rate * TOKENS, ms = now_ms - v->filled_ms;

	v->tokens += ms > 10000 ? most : ms * rate;
	if (v->tokens > most)
		v->tokens = most;
	v->filled_ms = now_ms;
}

static bool is_allowed(const struct admission_rules *rules, const struct address_key *key)
{
	for (unsigned int i = 0; i < rules->n_allowed; i++)
		if (address_net_has(&rules->allowed[i], key))
			return true;
	return rules->n_allowed == 0;
}

enum admission_verdict admission_enter(struct admission *a, struct address_key key, uint64_t now_ms)
{
	struct address_key network = to_network(key);
	struct visitor *v;

	if (!is_allowed(&a->rules, &key))
		return ADMISSION_NOT_ALLOWED;
	v = find(a, &network);
	if (!v)
		v = place(a, &network, now_ms);
	if (!v)
		return ADMISSION_TOO_MANY;
	fill(v, a->rules.rate, now_ms);
	if (v->tokens < TOKENS)
		return ADMISSION_TOO_FAST;
	if (v->connections == a->rules.per_address)
		return ADMISSION_TOO_MANY_OF_ADDRESS;
	if (a->connections == a->rules.connections)
		return ADMISSION_TOO_MANY; /* the last of the rules: the front may make room, and ask again */
	v->tokens -= TOKENS;
	v->connections++;
	a->connections++;
	return ADMISSION_WELCOME;
}

void admission_leave(struct admission *a, struct address_key key)
{
	struct address_key network = to_network(key);
	struct visitor *v = find(a, &network);

	if (!v || !v->connections)
		return;
	v->connections--;
	a->connections--;
}

const char *admission_text(enum admission_verdict verdict)
{
	static const char *const texts[] = {
		[ADMISSION_WELCOME] = "welcome",
		[ADMISSION_NOT_ALLOWED] = "its address is not in [limits] allow",
		[ADMISSION_TOO_FAST] = "its address connects too often",
		[ADMISSION_TOO_MANY_OF_ADDRESS] = "its address has too many connections",
		[ADMISSION_TOO_MANY] = "there are too many connections",
	};

	return texts[verdict];
}
