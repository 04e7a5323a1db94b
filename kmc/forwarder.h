/*
 * What vtpm-vchan-forward does: offer a channel to dom0, and the next one as soon as a client has met it; let each client's bytes through
 * to the KMC. It holds no key and sees ciphertext.
 */
#ifndef KMC_FORWARDER_H
#define KMC_FORWARDER_H

#include <sys/socket.h>

struct forwarder;
struct loop;
struct offers;

#define FORWARDER_PASSAGES 32 /* clients at a time: dom0's relay has two at most, vtpmctl one */

/**
 * forwarder_new() - begin to offer, from the loop
 * @offers: the caller's, must outlive the forwarder
 * @to: the KMC's address
 *
 * Return: the forwarder, or NULL if there is no memory.
 */
struct forwarder *forwarder_new(struct loop *loop, struct offers *offers, const struct sockaddr_storage *to, socklen_t size);
void forwarder_free(struct forwarder **f);

#endif
