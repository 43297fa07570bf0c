/* quantity.h - sizes and times as people write and read them.
 *
 * Sizes are bytes. In a configuration they may end in K, M or G (1024, 1024^2, 1024^3; small letters too); in messages
 * they are given in full, with the short form behind when there is one: "4194304 (4M)". Both directions are here so
 * that what a message suggests can be typed back. Times are milliseconds, written 500ms, 2s, 1.5s or 1m; a number
 * without a unit is seconds. ringctl has its own parser, as it uses nothing but the public API.
 *
 * Called by config.c and ring_options.c.
 */
#ifndef DAEMON_QUANTITY_H
#define DAEMON_QUANTITY_H

#include <stdint.h>

struct quantity_text {
    char text[48];
};

/* "16M" to bytes. -EINVAL (no number, something behind it), -ERANGE (more than 64 bits). */
int quantity_parse(const char *text, uint64_t *bytes);

/* "1.5s" to milliseconds, rounded up. -EINVAL (no number, no such unit), -ERANGE (more than 32 bits). */
int duration_parse(const char *text, uint32_t *ms);

/* Returned by value, so that one message can have several. */
struct quantity_text quantity_text(uint64_t bytes);

#endif
