/*
 * The way to a KMC over vchan: a domain of this host offers channels below its data/vtpm-kmc, one for each client (vtpm-vchan-forward).
 * Who may be believed is TLS's business: whoever can write there can at most be of no use.
 */
#ifndef DOM0_RELAY_KMCVCHAN_H
#define DOM0_RELAY_KMCVCHAN_H

struct channel;
struct kmc_address;
struct xenstore;

#define KMCVCHAN_WHY 160 /* bytes of an error's text */

/**
 * kmcvchan_connect() - take the channel that the address's domain offers now
 * @domid: the domain's number, which another domain of that name will not have
 * @why: on error, one line
 *
 * Waits for xenstored and for nobody else. Return: the channel, owned by the caller, or NULL.
 */
struct channel *kmcvchan_connect(struct xenstore *x, const struct kmc_address *a, unsigned int *domid, char why[KMCVCHAN_WHY]);

/** kmcvchan_look() - whether there is an offer, without taking it: 0, E_NOTFOUND or E_XEN with @why filled in. */
int kmcvchan_look(struct xenstore *x, const struct kmc_address *a, char why[KMCVCHAN_WHY]);

#endif
