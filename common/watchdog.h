/*
 * systemd's watchdog (sd_notify(3), WatchdogSec=): a daemon whose event loop stands still is ended and started again.
 *
 * Only the main process of a daemon takes part. Its helper processes end with it, and it ends when one of them does.
 */
#ifndef COMMON_WATCHDOG_H
#define COMMON_WATCHDOG_H

struct loop;

/**
 * watchdog_start() - say twice in each period that this process lives, as long as @loop turns
 *
 * Nothing happens where the service manager does not ask for it, or asks another process. Return: 0 or E_NOMEM.
 */
int watchdog_start(struct loop *loop);

/** watchdog_stop() - say no more. */
void watchdog_stop(void);

#endif
