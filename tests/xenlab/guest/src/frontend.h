/*
 * A guest's own frontend of the vTPM device, for programs that play one. Run it with xen-tpmfront unbound.
 */
#ifndef GUEST_FRONTEND_H
#define GUEST_FRONTEND_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGE 4096
#define FRONTEND "device/vtpm/0"

enum { IDLE, SUBMIT, FINISH, CANCEL };

/* Xen's public/io/tpmif.h, the parts that Linux's driver uses. */
struct shared {
	uint32_t length;
	uint8_t state, locality, pad, extra_pages;
	uint8_t body[PAGE - 8];
};

static struct xs_handle *xs;
static xenevtchn_handle *events;
static xenevtchn_port_or_error_t port;
static volatile struct shared *page;
static uint32_t page_ref;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *read_node(const char *name)
{
	unsigned int n;
	char *value = xs_read(xs, XBT_NULL, name, &n);

	if (!value)
		fail(name);
	return value;
}

static void write_node(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FRONTEND "/%s", name);
	if (!xs_write(xs, XBT_NULL, path, value, strlen(value)))
		fail(path);
}

static void write_number(const char *name, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	write_node(name, text);
}

static void ring(void)
{
	if (xenevtchn_notify(events, port) != 0)
		fail("notify");
}

/* Share a page and an event channel with the backend and say so, as a driver does. */
static void attach(void)
{
	xengntshr_handle *share = xengntshr_open(NULL, 0);
	uint32_t backend;

	xs = xs_open(0);
	events = xenevtchn_open(NULL, 0);
	if (!xs || !events || !share)
		fail("xen devices");
	backend = (uint32_t)atoi(read_node(FRONTEND "/backend-id"));
	page = xengntshr_share_pages(share, backend, 1, &page_ref, 1);
	if (!page)
		fail("share a page");
	port = xenevtchn_bind_unbound_port(events, backend);
	if (port < 0)
		fail("event channel");
	memset((void *)(uintptr_t)page, 0, PAGE);
	write_node("feature-protocol-v2", "1");
	write_number("ring-ref", page_ref);
	write_number("event-channel", (uint32_t)port);
	write_number("state", 3);
	sleep(2);
}

#endif
