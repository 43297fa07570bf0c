/* support_victim.c - see support_victim.h. Each part of the mapping is moved by mremap(), which takes it along with its
 * flags; the two halves of the data are mappings of their own.
 */
#define _GNU_SOURCE
#include "support_victim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../daemon/ring_options.h"
#include "support.h"

#define GUARD_BYTES ((size_t)1 << 24)

static void make_objects(struct victim *victim, const struct ringd_ring_options *options)
{
    struct ringd_ring_options checked = *options;
    struct problem problem;
    struct ticks ticks;
    char instance[32];
    struct object_name name;
    int result = ring_options_check(&checked, &problem);

    require(result == 0, "%s", problem.text);
    snprintf(instance, sizeof instance, "check-%ld", (long)getpid());
    name = object_name_ring(instance, "victim", 1);
    ticks_init(&ticks);
    segment_objects_init(&victim->objects);
    result = segment_create(&victim->objects, &name, "victim", &checked, &ticks, &problem);
    require(result == 0, "%s", problem.text);
    segment_objects_unlink(&victim->objects);
}

/* Moves one part to *place, behind a guard; *place goes on to the next. */
static void *move_part(void *part, size_t bytes, unsigned char **place)
{
    void *moved = mremap(part, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, *place);

    require(moved == *place, "mremap: %s", strerror(errno));
    *place += bytes;
    return moved;
}

static void move_between_guards(struct victim *victim)
{
    struct segment *s = &victim->segment;
    size_t half = s->data_map_bytes / 2;
    unsigned char *place;

    victim->range_bytes = s->control_map_bytes + s->readers_map_bytes + s->data_map_bytes + 4 * GUARD_BYTES;
    victim->range = mmap(NULL, victim->range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(victim->range != MAP_FAILED, "mmap: %s", strerror(errno));
    place = (unsigned char *)victim->range + GUARD_BYTES;
    s->control_map = move_part(s->control_map, s->control_map_bytes, &place);
    place += GUARD_BYTES;
    s->readers_map = move_part(s->readers_map, s->readers_map_bytes, &place);
    place += GUARD_BYTES;
    move_part((unsigned char *)s->data_map + half, half, &(unsigned char *){place + half});
    s->data_map = move_part(s->data_map, half, &place);
    s->control = (void *)((unsigned char *)s->control_map + RINGD_CONTROL_OFFSET);
    s->lanes = (unsigned char *)s->control_map + RINGD_LANES_OFFSET;
    s->readers = s->readers_map;
    s->reader_slots = (void *)((unsigned char *)s->readers_map + RINGD_SLOTS_OFFSET);
    s->cursors = (void *)((unsigned char *)s->readers_map + RINGD_CURSORS_OFFSET);
    s->groups = (void *)(s->cursors + RINGD_READERS_MAX);
    s->named = (void *)(s->groups + RINGD_GROUPS_MAX);
    s->data = s->data_map;
}

static void save(struct victim *victim)
{
    const struct segment *s = &victim->segment;
    size_t half = s->data_map_bytes / 2;

    victim->saved = malloc(s->control_map_bytes + s->readers_map_bytes + half);
    require(victim->saved != NULL, "no memory");
    memcpy(victim->saved, s->control_map, s->control_map_bytes);
    memcpy(victim->saved + s->control_map_bytes, s->readers_map, s->readers_map_bytes);
    memcpy(victim->saved + s->control_map_bytes + s->readers_map_bytes, s->data_map, half);
}

void victim_init(struct victim *victim, const struct ringd_ring_options *options)
{
    int result;

    *victim = (struct victim){0};
    make_objects(victim, options);
    result = segment_map(&victim->segment, victim->objects.segment.fd, victim->objects.readers.fd, SEGMENT_WRITER);
    require(result == 0, "%d", result);
    move_between_guards(victim);
    save(victim);
}

void victim_deinit(struct victim *victim)
{
    munmap(victim->range, victim->range_bytes);
    free(victim->saved);
    segment_objects_deinit(&victim->objects);
}

void victim_restore(struct victim *victim)
{
    const struct segment *s = &victim->segment;
    size_t half = s->data_map_bytes / 2;

    memcpy(s->control_map, victim->saved, s->control_map_bytes);
    memcpy(s->readers_map, victim->saved + s->control_map_bytes, s->readers_map_bytes);
    memcpy(s->data_map, victim->saved + s->control_map_bytes + s->readers_map_bytes, half);
}

bool victim_holds(const struct victim *victim, const void *data, size_t len)
{
    size_t at = (size_t)((const unsigned char *)data - victim->segment.data);

    return (const unsigned char *)data >= victim->segment.data && at <= victim->segment.data_map_bytes &&
           len <= victim->segment.data_map_bytes - at;
}
