/* kmcctl's tables and JSON. Only ctl_show.c sees jansson. */
#ifndef KMC_CTL_SHOW_H
#define KMC_CTL_SHOW_H

#include <stdbool.h>

#include "kmc/ctl_client.h"

/** ctl_list() - all pages of POOL_LIST, HOST_LIST or VTPM_LIST. @all: removed hosts too. Return: an exit code. */
int ctl_list(struct ctl_client *c, enum adm_type list, bool json, bool all);

/** ctl_show_vtpm() - the answer to VTPM_SHOW or VTPM_TAKEOVER in full. Return: an exit code. */
int ctl_show_vtpm(struct ctl_client *c, enum adm_type type, const struct uuid *uuid, bool json);

/** ctl_list_states() - the stored states of one vTPM. Return: an exit code. */
int ctl_list_states(struct ctl_client *c, const struct uuid *uuid, bool json);

/** ctl_list_images() - the images of a vTPM for which a volatile state is kept. */
int ctl_list_images(struct ctl_client *c, const struct uuid *uuid, bool json);

/** ctl_status() - one screen. Return: an exit code. */
int ctl_status(struct ctl_client *c, bool json);

#endif
