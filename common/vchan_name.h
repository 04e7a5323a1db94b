/* A KMC that is reached over vchan, as configuration files and tokens spell it: vchan:DOMAIN or vchan:DOMAIN:NAME. */
#ifndef COMMON_VCHAN_NAME_H
#define COMMON_VCHAN_NAME_H

#define VCHAN_NAME_DOMAIN 65 /* bytes of a domain's name or number, with NUL */
#define VCHAN_NAME_PEER 129  /* bytes of the name in the KMC's certificate, with NUL */

struct vchan_name {
	char domain[VCHAN_NAME_DOMAIN];
	char peer[VCHAN_NAME_PEER]; /* NAME or, without one, DOMAIN */
	int named;		    /* NAME was given */
};

/**
 * vchan_name_parse() - take it apart
 *
 * A domain's number says nothing about who answers there, so it needs a NAME. Return: 0, E_NOTFOUND (another kind of
 * address), E_FORMAT (one that begins with vchan: and is wrong).
 */
int vchan_name_parse(const char *text, struct vchan_name *v);

#endif
