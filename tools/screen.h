/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * screen.h -- the terminal
 */
#ifndef VMC_TOOLS_SCREEN_H
#define VMC_TOOLS_SCREEN_H

/*
 * Show the caches until somebody types q. interval: milliseconds. 0; a
 * negative errno; or 1 if there is no terminal that can be used, and nothing
 * was shown.
 */
int top_screen(char *const *patterns, int interval);

#endif
