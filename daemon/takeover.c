/* takeover.c - see takeover.h. The names are listed once, before the first record is locked; what appears later is not
 * looked at.
 */
#define _GNU_SOURCE
#include "takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "context.h"
#include "fd_store.h"
#include "generation.h"
#include "groups.h"
#include "life.h"
#include "log.h"
#include "process.h"
#include "shared_file.h"
#include "slots.h"

/* An object that was found, until it is known whose it is. */
struct found {
    struct object_name name;
    struct object_parts parts; /* if `known` */
    bool known;                /* the name is one of ours */
    bool settled;              /* nothing more is to be done about it */
};

/* A ring whose record was found. */
struct claim {
    struct ring_record record;
    int result; /* of ring_record_open */
    char ring[RINGD_NAME_BYTES];
};

struct takeover {
    struct registry *registry;
    const char *instance_id;
    struct found *found;
    size_t found_count;
    struct claim *claims;
    size_t claim_count;
    unsigned rings, alive, dead, removed;
};

/* ---- looking around -------------------------------------------------------------------------------------------- */

static bool is_listed(const struct takeover *takeover, const struct object_name *name)
{
    for (size_t i = 0; i < takeover->found_count; i++) {
        if (strcmp(takeover->found[i].name.text, name->text) == 0)
            return true;
    }
    return false;
}

static int list_name(const struct object_name *name, void *argument)
{
    struct takeover *takeover = argument;
    struct found *longer, *found;

    if (is_listed(takeover, name))
        return 0;
    longer = reallocarray(takeover->found, takeover->found_count + 1, sizeof *longer);
    if (longer == NULL)
        return -ENOMEM;
    takeover->found = longer;
    found = &longer[takeover->found_count++];
    *found = (struct found){.name = *name};
    found->known = object_name_parse(name, takeover->instance_id, &found->parts);
    return 0;
}

static int list_file(const char *file, void *argument)
{
    struct object_name name = object_name_of_file(file);

    return list_name(&name, argument);
}

static int list_all(struct takeover *takeover, struct problem *problem)
{
    struct object_name prefix = object_name_prefix(takeover->instance_id);
    int result = shared_file_each(prefix.text, list_file, takeover);

    if (result == 0)
        result = fd_store_each(list_name, takeover);
    return result < 0 ? problem_say(problem, result, "cannot look through /dev/shm: %s", strerror(-result)) : 0;
}

/* ---- locking --------------------------------------------------------------------------------------------------- */

static int say_owned(const struct claim *claim, uint32_t pid, struct problem *problem)
{
    bool stopped = process_is_stopped(pid);

    return problem_say(
        problem, -EBUSY,
        "ring \"%s\" belongs to another ringd (pid %u%s), whose lock file in this directory is gone; end "
        "it (kill %s%u) and start again: its rings are taken over then",
        claim->ring, pid, stopped ? ", stopped" : "", stopped ? "-9 " : "", pid);
}

static int lock_record(struct takeover *takeover, struct found *found, struct problem *problem)
{
    struct claim *claim = &takeover->claims[takeover->claim_count++];
    uint32_t pid = 0;

    *claim = (struct claim){.record = {.fd = -1}};
    memcpy(claim->ring, found->parts.ring, sizeof claim->ring);
    found->settled = true;
    claim->result = ring_record_open(&claim->record, &found->name, claim->ring, &pid);
    return claim->result == -EBUSY ? say_owned(claim, pid, problem) : 0;
}

static int lock_all(struct takeover *takeover, struct problem *problem)
{
    int result = 0;

    takeover->claims = calloc(takeover->found_count + 1, sizeof *takeover->claims);
    if (takeover->claims == NULL)
        return problem_say(problem, -ENOMEM, "out of memory");
    for (size_t i = 0; i < takeover->found_count && result == 0; i++) {
        struct found *found = &takeover->found[i];

        if (found->known && found->parts.kind == OBJECT_RECORD)
            result = lock_record(takeover, found, problem);
    }
    return result;
}

/* ---- rings ----------------------------------------------------------------------------------------------------- */

/* All that belongs to a ring of this name: what becomes of it is settled. */
static void settle_ring(struct takeover *takeover, const char *ring)
{
    for (size_t i = 0; i < takeover->found_count; i++) {
        struct found *found = &takeover->found[i];

        found->settled |= found->known && strcmp(found->parts.ring, ring) == 0;
    }
}

static void unlink_object(struct takeover *takeover, const struct object_name *name)
{
    if (shm_unlink(name->text) == 0)
        takeover->removed++;
    else if (errno != ENOENT)
        log_warning("cannot remove /dev/shm%s: %s", name->text, strerror(errno));
    fd_store_forget(name);
}

/* Tells those attached, if the two objects are a ring at all. */
static void end_segment(const struct object_name *ring)
{
    struct object_name segment_name = object_name_segment(ring), readers_name = object_name_readers(ring);
    bool named;
    int segment_fd = fd_store_open(&segment_name, O_RDWR, &named);
    int readers_fd = fd_store_open(&readers_name, O_RDWR, &named);
    struct segment segment;

    if (segment_fd >= 0 && readers_fd >= 0 && segment_map(&segment, segment_fd, readers_fd, SEGMENT_WRITER) == 0) {
        segment_end(&segment);
        segment_unmap(&segment);
    }
    if (segment_fd >= 0)
        close(segment_fd);
    if (readers_fd >= 0)
        close(readers_fd);
}

/* The record goes last: it says what is to be done about the others. */
static void remove_ring(struct takeover *takeover, struct claim *claim)
{
    for (size_t i = 0; i < takeover->found_count; i++) {
        struct found *found = &takeover->found[i];
        struct object_name ring;

        if (!found->known || found->parts.kind != OBJECT_SEGMENT || strcmp(found->parts.ring, claim->ring) != 0)
            continue;
        ring = object_name_ring(takeover->instance_id, claim->ring, found->parts.generation);
        end_segment(&ring);
    }
    for (size_t i = 0; i < takeover->found_count; i++) {
        struct found *found = &takeover->found[i];

        if (found->known && found->parts.kind != OBJECT_RECORD && strcmp(found->parts.ring, claim->ring) == 0)
            unlink_object(takeover, &found->name);
    }
    settle_ring(takeover, claim->ring);
    unlink_object(takeover, &claim->record.name);
}

static void adopt_ring(struct takeover *takeover, struct claim *claim)
{
    struct shared_ring *ring;
    struct problem why;
    int result = shared_ring_adopt(&ring, takeover->instance_id, &claim->record, &why);

    if (result == -EPROTONOSUPPORT) {
        log_warning("ring %s: left alone: %s", claim->ring, why.text);
        settle_ring(takeover, claim->ring);
    } else if (result == -ENOMEM) {
        log_error("ring %s: left alone: out of memory", claim->ring);
        settle_ring(takeover, claim->ring);
    } else if (result < 0) {
        log_error("ring %s: cannot be taken over, removed: %s", claim->ring, why.text);
        remove_ring(takeover, claim);
    } else if (registry_adopt(takeover->registry, ring) < 0) {
        log_error("ring %s: left alone: out of memory", claim->ring);
        shared_ring_leave(ring);
        shared_ring_free(ring);
        settle_ring(takeover, claim->ring);
    } else {
        takeover->rings++;
    }
}

static void decide(struct takeover *takeover, struct claim *claim)
{
    uint32_t state = claim->result == 0 ? atomic_load_explicit(&claim->record.page->state, memory_order_acquire) : 0;

    if (claim->result == -ENOENT)
        return;
    if (claim->result == -EPROTONOSUPPORT || claim->result == -EPERM) {
        log_warning("ring %s: left alone: its record is %s", claim->ring,
                    claim->result == -EPERM ? "not of this ringd's user" : "of another version of ringd");
        settle_ring(takeover, claim->ring);
    } else if (claim->result < 0) {
        log_warning("ring %s: removed: its record is none (%s)", claim->ring, strerror(-claim->result));
        remove_ring(takeover, claim);
    } else if (state == RECORD_LIVE) {
        adopt_ring(takeover, claim);
    } else {
        log_info("ring %s: removed: the last ringd ended while it was being %s", claim->ring,
                 state == RECORD_MAKING ? "made" : "removed");
        remove_ring(takeover, claim);
    }
}

/* ---- contexts -------------------------------------------------------------------------------------------------- */

static struct slot *slot_of(struct shared_ring *ring, const struct object_parts *parts)
{
    if (parts->side == 'w')
        return parts->slot < shared_ring_writer_count(ring) ? &ring->writers[parts->slot] : NULL;
    return parts->slot < RINGD_READERS_MAX ? &ring->readers[parts->slot] : NULL;
}

/* Name, page, ring and record say the same of it. */
static bool fits(const struct object_parts *parts, const struct ringd_life *page, const struct shared_ring *ring,
                 const struct slot *slot)
{
    bool writer = parts->side == 'w';

    return page->ring_id == ring->segment.geometry.ring_id && page->ring_id == parts->ring_id &&
           page->slot == parts->slot && page->incarnation == parts->incarnation &&
           page->incarnation == slot->incarnation && slot->context == NULL && page->kind >= RINGD_CONTEXT_WRITER &&
           page->kind <= RINGD_CONTEXT_OBSERVER && writer == (page->kind == RINGD_CONTEXT_WRITER) &&
           page->lane <= ring->segment.geometry.lane_count;
}

/* A lossless reader may have been evicted since. */
static enum ringd_context_kind kind_now(const struct shared_ring *ring, const struct ringd_life *page)
{
    const struct record_slot *slot = shared_ring_record_slot(ring, page->kind == RINGD_CONTEXT_WRITER, page->slot);

    if (page->kind == RINGD_CONTEXT_LOSSLESS &&
        atomic_load_explicit(&slot->kind, memory_order_relaxed) == RINGD_CONTEXT_EVICTED)
        return RINGD_CONTEXT_EVICTED;
    return page->kind;
}

static void adopt_life(struct takeover *takeover, struct found *found)
{
    struct shared_ring *ring = registry_find(takeover->registry, found->parts.ring);
    struct slot *slot = ring == NULL ? NULL : slot_of(ring, &found->parts);
    struct ringd_life page;
    int result;

    if (slot == NULL)
        return;
    result = life_read(&found->name, &page);
    if (result == -EAGAIN) {
        found->settled = true; /* somebody has a lease on it: his slot is closed */
    } else if (result == 0 && fits(&found->parts, &page, ring, slot)) {
        found->settled = true;
        life_keep(&found->name);
        if (context_adopt(ring, &page, kind_now(ring, &page)) < 0)
            log_error("ring %s: the slot of pid %u stays closed: out of memory", ring->name, page.pid);
    }
}

static void close_slot(struct shared_ring *ring, bool writer, uint32_t i)
{
    struct slot *slot = writer ? &ring->writers[i] : &ring->readers[i];

    if (slot->context != NULL ||
        atomic_load_explicit(&shared_ring_record_slot(ring, writer, i)->kind, memory_order_relaxed) == 0)
        return;
    slot->closed = true;
    log_warning("ring %s: %s %u is given to nobody any more: somebody has removed the life page of who had it",
                ring->name, writer ? "writer's slot" : "reader's slot", i);
}

/* Each slot is known now: whoever died is repaired, who lives is waited for. */
static void settle_slots(struct shared_ring *ring)
{
    for (uint32_t i = 0; i < shared_ring_writer_count(ring); i++)
        close_slot(ring, true, i);
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        close_slot(ring, false, i);
    groups_adopt(ring);
    slots_clear_free(ring);
    context_watch_all(ring);
    log_info("ring %s: taken over, %u attached", ring->name, ring->context_count);
}

/* A predecessor that ended in the middle of a move. The ring may be gone afterwards. */
static void resume_moves(struct takeover *takeover)
{
    struct shared_ring *ring = TAILQ_FIRST(&takeover->registry->rings), *next;
    struct problem why;

    for (; ring != NULL; ring = next) {
        next = TAILQ_NEXT(ring, link);
        if (generation_resume(ring, &why) < 0)
            log_error("the move of a ring could not be finished: %s", why.text);
    }
}

/* ---- what is left ---------------------------------------------------------------------------------------------- */

/* A daemon that we know nothing of may just be making that ring. */
static bool has_record(const struct takeover *takeover, const struct found *found)
{
    struct object_name name = object_name_record(takeover->instance_id, found->parts.ring);
    int fd = found->known ? shared_file_open(&name, O_RDONLY) : -ENOENT;

    if (fd >= 0)
        close(fd);
    return fd != -ENOENT && registry_find(takeover->registry, found->parts.ring) == NULL;
}

static void remove_left(struct takeover *takeover, const struct found *found)
{
    struct object_name ring = object_name_ring(takeover->instance_id, found->parts.ring, found->parts.generation);

    if (has_record(takeover, found))
        return;
    if (found->known && found->parts.kind == OBJECT_LIFE)
        log_debug("removing /dev/shm%s: the page of a context of a ring that is gone", found->name.text);
    else
        log_warning("removing /dev/shm%s: it belongs to no ring", found->name.text);
    if (found->known && found->parts.kind == OBJECT_SEGMENT)
        end_segment(&ring);
    unlink_object(takeover, &found->name);
}

/* A ring that was taken over has its segment and readers under the names that it has. */
static bool is_of_ring(const struct takeover *takeover, const struct found *found)
{
    const struct shared_ring *ring = found->known ? registry_find(takeover->registry, found->parts.ring) : NULL;

    return ring != NULL && (strcmp(found->name.text, ring->objects.segment.name.text) == 0 ||
                            strcmp(found->name.text, ring->objects.readers.name.text) == 0 ||
                            generation_has_object(ring, &found->name));
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

static void take_contexts(struct takeover *takeover)
{
    struct shared_ring *ring;

    for (size_t i = 0; i < takeover->found_count; i++) {
        struct found *found = &takeover->found[i];

        if (!found->settled && found->known && found->parts.kind == OBJECT_LIFE)
            adopt_life(takeover, found);
    }
    takeover->dead = takeover->registry->context_count;
    resume_moves(takeover);
    TAILQ_FOREACH(ring, &takeover->registry->rings, link)
    {
        settle_slots(ring);
    }
    takeover->alive = takeover->registry->context_count;
    takeover->dead -= takeover->alive;
}

static uint64_t created_ns(const struct claim *claim)
{
    const struct ring_record *record = &claim->record;
    const struct ringd_segment_header *header =
        claim->result != 0
            ? NULL
            : ring_record_header(record, atomic_load_explicit(&record->page->generation, memory_order_acquire));

    return header != NULL ? header->created_ns : 0;
}

static int compare_claims(const void *a, const void *b)
{
    uint64_t first = created_ns(a), second = created_ns(b);

    return (first > second) - (first < second);
}

/* Rings are listed in the order in which they were made. */
static void take_all(struct takeover *takeover)
{
    qsort(takeover->claims, takeover->claim_count, sizeof *takeover->claims, compare_claims);
    for (size_t i = 0; i < takeover->claim_count; i++)
        decide(takeover, &takeover->claims[i]);
    take_contexts(takeover);
    for (size_t i = 0; i < takeover->found_count; i++) {
        if (!takeover->found[i].settled && !is_of_ring(takeover, &takeover->found[i]))
            remove_left(takeover, &takeover->found[i]);
    }
    if (takeover->found_count > 0)
        log_info("of the last ringd: %u rings taken over, %u contexts still attached, %u ended meanwhile, %u objects "
                 "removed",
                 takeover->rings, takeover->alive, takeover->dead, takeover->removed);
}

static void takeover_deinit(struct takeover *takeover)
{
    for (size_t i = 0; i < takeover->claim_count; i++)
        ring_record_deinit(&takeover->claims[i].record);
    free(takeover->claims);
    free(takeover->found);
}

int takeover_run(struct registry *registry, struct problem *problem)
{
    struct takeover takeover = {.registry = registry, .instance_id = registry->instance->id};
    int result = list_all(&takeover, problem);

    if (result == 0)
        result = lock_all(&takeover, problem);
    if (result == 0) {
        take_all(&takeover);
        fd_store_settle();
    }
    takeover_deinit(&takeover);
    return result;
}
