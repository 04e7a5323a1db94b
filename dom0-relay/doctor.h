/* `vtpmctl doctor`: what commonly is wrong on a Xen host, and what to do. */
#ifndef DOM0_RELAY_DOCTOR_H
#define DOM0_RELAY_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#define VTPM_LINES_MAX 64 /* vTPMs of one guest's configuration that are looked at */
#define VTPM_UUID_TEXT 37

/* The vTPMs that a guest's configuration asks for. */
struct vtpm_lines {
	size_t n, without_uuid; /* n: with a UUID */
	char uuid[VTPM_LINES_MAX][VTPM_UUID_TEXT];
};

/** doctor_vtpm_lines() - read the text of an xl.cfg(5). */
void doctor_vtpm_lines(const char *text, struct vtpm_lines *lines);

/**
 * doctor_autoballoon() - whether xl takes guests' memory from dom0 when they are created
 * @xl_conf: text of /etc/xen/xl.conf
 * @xen_cmdline: Xen's own command line
 */
bool doctor_autoballoon(const char *xl_conf, const char *xen_cmdline);

/** doctor_run() - look at everything, with @conf (NULL: the usual file), and say it. Return: 0, or 1 if something is wrong. */
int doctor_run(const char *conf);

#endif
