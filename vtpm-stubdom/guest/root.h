/*
 * The root directory of a daemon that was started in the initramfs, and stays when that ends.
 *
 * At its end /dev, /sys, /proc and /run are moved to the real root file system, all files of the initramfs are deleted, and the real root is
 * mounted over it. Who was there before keeps what lies beneath as its root, where no path leads anywhere any more, though every open
 * descriptor is as good as before. The daemon opens an event channel for each connection: it would lose the vTPM at the first migration. But the
 * directory above /dev is the root that /dev is part of now, and that one can be its own.
 */
#ifndef VTPM_STUBDOM_GUEST_ROOT_H
#define VTPM_STUBDOM_GUEST_ROOT_H

#include <stdbool.h>

/** root_open() - in the initramfs: a descriptor of its /dev, or -1. */
int root_open(void);

/**
 * root_follow() - has /dev gone to another root? Then that is ours from now on
 * @dev: of root_open(), closed once the answer is yes
 *
 * Return: true: yes, and there is no other to come.
 */
bool root_follow(int *dev);

#endif
