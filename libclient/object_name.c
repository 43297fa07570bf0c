/* object_name.c - see object_name.h. The longest parts (64 of instance and generation, 63 of the ring, 60 behind) leave
 * room in struct object_name.
 */
#define _GNU_SOURCE
#include "object_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the instance ---------------------------------------------------------------------------------------------- */

/* FNV-1a, 64 bits: spreads paths well, and nothing depends on its being hard to invert. */
static uint64_t hash_text(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

void object_name_instance(char id[static INSTANCE_ID_BYTES], const char *directory)
{
    snprintf(id, INSTANCE_ID_BYTES, "%016" PRIx64, hash_text(directory));
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

struct object_name object_name_prefix(const char *instance_id)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "ringd-%s-", instance_id);
    return name;
}

struct object_name object_name_of_file(const char *file)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "/%s", file);
    return name;
}

struct object_name object_name_ring(const char *instance_id, const char *ring, uint64_t generation)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "/ringd-%s-%s-%" PRIu64, instance_id, ring, generation);
    return name;
}

struct object_name object_name_record(const char *instance_id, const char *ring)
{
    struct object_name name;

    snprintf(name.text, sizeof name.text, "/ringd-%s-%s-record", instance_id, ring);
    return name;
}

static struct object_name with_suffix(const struct object_name *ring, const char *suffix)
{
    struct object_name name = *ring;
    size_t len = strlen(ring->text);

    snprintf(name.text + len, sizeof name.text - len, "-%s", suffix);
    return name;
}

struct object_name object_name_segment(const struct object_name *ring)
{
    return with_suffix(ring, "segment");
}

struct object_name object_name_readers(const struct object_name *ring)
{
    return with_suffix(ring, "readers");
}

struct object_name object_name_life(const struct object_name *ring, char side, uint32_t slot, uint32_t incarnation,
                                    uint64_t ring_id)
{
    char suffix[64];

    snprintf(suffix, sizeof suffix, "life-%c%" PRIu32 "-%" PRIu32 "-%016" PRIx64, side, slot, incarnation, ring_id);
    return with_suffix(ring, suffix);
}

/* ---- taking apart ---------------------------------------------------------------------------------------------- */

/* Cuts the text at the last place where `mark` begins; what stands behind the mark, or NULL. */
static const char *cut_last(char *text, const char *mark)
{
    char *found = NULL;

    for (char *next = strstr(text, mark); next != NULL; next = strstr(next + 1, mark))
        found = next;
    if (found == NULL)
        return NULL;
    *found = '\0';
    return found + strlen(mark);
}

/* False: too long. */
static bool copy_ring(char ring[static RINGD_NAME_BYTES], const char *text)
{
    return (size_t)snprintf(ring, RINGD_NAME_BYTES, "%s", text) < RINGD_NAME_BYTES;
}

/* "<ring>-<generation>" */
static bool parse_ring(char *text, struct object_parts *parts)
{
    const char *generation = cut_last(text, "-");

    if (generation == NULL)
        return false;
    parts->generation = strtoull(generation, NULL, 10);
    return copy_ring(parts->ring, text);
}

static bool parse_life(char *text, struct object_parts *parts)
{
    const char *life = cut_last(text, "-life-");

    parts->kind = OBJECT_LIFE;
    return life != NULL &&
           sscanf(life, "%c%" SCNu32 "-%" SCNu32 "-%" SCNx64, &parts->side, &parts->slot, &parts->incarnation,
                  &parts->ring_id) == 4 &&
           parse_ring(text, parts);
}

/* `text` is what follows the instance. */
static bool parse_object(char *text, struct object_parts *parts)
{
    char *suffix = strrchr(text, '-');

    if (suffix == NULL)
        return false;
    if (strcmp(suffix, "-record") == 0) {
        *suffix = '\0';
        parts->kind = OBJECT_RECORD;
        return copy_ring(parts->ring, text);
    }
    if (strcmp(suffix, "-segment") != 0 && strcmp(suffix, "-readers") != 0)
        return parse_life(text, parts);
    parts->kind = strcmp(suffix, "-segment") == 0 ? OBJECT_SEGMENT : OBJECT_READERS;
    *suffix = '\0';
    return parse_ring(text, parts);
}

static struct object_name make(const char *instance_id, const struct object_parts *parts)
{
    struct object_name ring = object_name_ring(instance_id, parts->ring, parts->generation);

    switch (parts->kind) {
    case OBJECT_RECORD:
        return object_name_record(instance_id, parts->ring);
    case OBJECT_SEGMENT:
        return object_name_segment(&ring);
    case OBJECT_READERS:
        return object_name_readers(&ring);
    case OBJECT_LIFE:
        break;
    }
    return object_name_life(&ring, parts->side, parts->slot, parts->incarnation, parts->ring_id);
}

bool object_name_parse(const struct object_name *name, const char *instance_id, struct object_parts *parts)
{
    struct object_name prefix = object_name_prefix(instance_id), rest;
    size_t len = strlen(prefix.text);

    *parts = (struct object_parts){0};
    if (name->text[0] != '/' || strncmp(name->text + 1, prefix.text, len) != 0)
        return false;
    snprintf(rest.text, sizeof rest.text, "%s", name->text + 1 + len);
    if (!parse_object(rest.text, parts) || (parts->kind == OBJECT_LIFE && parts->side != 'w' && parts->side != 'r'))
        return false;
    rest = make(instance_id, parts);
    return strcmp(rest.text, name->text) == 0;
}
