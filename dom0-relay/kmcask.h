/* A connection to the KMC for a tool that waits: one question, one answer. */
#ifndef DOM0_RELAY_KMCASK_H
#define DOM0_RELAY_KMCASK_H

#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"

struct kmcask;

#define KMCASK_WHY 320

/**
 * kmcask_enrol() - connect as somebody without certificate
 * @address: host:port or vchan:DOMAIN[:NAME]
 * @ca: SHA-256 of the KMC's CA
 *
 * Return: 0 (*k is the caller's) or an error with @why filled in.
 */
int kmcask_enrol(struct kmcask **k, const char *address, const uint8_t ca[32], char why[KMCASK_WHY]);
void kmcask_free(struct kmcask **k);

/**
 * kmcask() - send a request and wait for its answer
 * @answer: of the message's struct, for a message of type @wanted; its views are valid until the next call
 *
 * Return: 0; E_DENIED (refused: @why is the KMC's reason); another error with @why filled in.
 */
int kmcask(struct kmcask *k, enum kmc_type type, const void *request, enum kmc_type wanted, void *answer, char why[KMCASK_WHY]);

#endif
