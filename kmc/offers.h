/*
 * The channels that a forwarding domain offers to dom0: one at a time, each for one client, below its own data/vtpm-kmc.
 *
 * Each offer has a number of its own, so that whatever becomes of an earlier one, its nodes are not the next one's. Only offers.c sees
 * libxenstore here; the channels are common/channel.h's.
 */
#ifndef KMC_OFFERS_H
#define KMC_OFFERS_H

struct channel;
struct offers;

/** offers_open() - what an earlier process left behind is removed. NULL with errno set: no xenstore, or not our own domain's to write. */
struct offers *offers_open(void);

/** offers_next() - offer a channel to dom0: it is the caller's, not met yet. NULL with errno set. */
struct channel *offers_next(struct offers *o);

/** offers_withdraw() - nobody else finds the last one from now on: it is taken, or not to be had any more. */
void offers_withdraw(struct offers *o);

void offers_close(struct offers **o);

#endif
