/* OpenSSL's heap in a process that holds keys: what is freed is wiped, and big numbers of private keys are locked. */
#ifndef KMC_CLEANHEAP_H
#define KMC_CLEANHEAP_H

/** cleanheap_use() - before OpenSSL's first allocation; fatal() if it is too late or memory can't be locked. */
void cleanheap_use(void);

#endif
