/* config.h - what the configuration file says.
 *
 *     [ringd]                              [ring NAME]
 *     create = alice, @staff               size = 16M                     hold = no
 *     max_clients = 8192                   policy = lossless              mode = 0740
 *                                          max_record = 64K               owner = alice
 *                                          time = none                    group = staff
 *                                          first_position = 0              lanes = 4
 *                                          stopped = kill:200ms            slow = lossy
 *                                          slow_bytes = 4M                 slow_after = 2s
 *
 * A file is right as a whole or refused: what is unknown, out of range, given twice or contradictory is an error that
 * names file, line and key and says what is allowed. Only `create` may come several times; it adds up. A ring needs no
 * keys. Users and groups are looked up here, once.
 *
 * Called by main.c; daemon.c makes the rings and keeps the rest.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "problem.h"
#include "rights.h"
#include "ringd.h"

#define CONFIG_MAX_CLIENTS_DEFAULT 8192u /* three rings with all the writers and readers they may have */

struct config_ring {
    char name[RINGD_NAME_BYTES];
    struct ringd_ring_options options;
    struct ring_rights rights; /* mode: in options */
    unsigned line;             /* of the section */
};

struct config {
    struct creators creators;
    uint32_t max_clients;
    struct config_ring *rings;
    size_t ring_count;
};

/* What holds without a file. May be destroyed. */
void config_init(struct config *config);
void config_deinit(struct config *config);

/* -EINVAL (something in it is wrong), or the errno of opening it. `config` is to be destroyed after a failure too. */
int config_load(struct config *config, const char *path, struct problem *problem);

#endif
