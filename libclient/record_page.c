/* record_page.c - see record_page.h. */
#include "record_page.h"

#include <errno.h>
#include <string.h>

#define PAGE_BYTES UINT64_C(4096)

_Static_assert(offsetof(struct record_page, readers) == 5120, "the head of a record");
_Static_assert(sizeof(struct record_page) + RINGD_LANES_MAX * RINGD_WRITERS_PER_LANE * sizeof(struct record_slot) +
                       PAGE_BYTES <=
                   RECORD_PAGE_BYTES_MAX,
               "the longest record");

uint64_t record_page_bytes(uint32_t lane_count)
{
    uint64_t bytes =
        sizeof(struct record_page) + (uint64_t)lane_count * RINGD_WRITERS_PER_LANE * sizeof(struct record_slot);

    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static bool names_end(const struct record_page *page)
{
    bool all = memchr(page->name, '\0', sizeof page->name) != NULL;

    for (uint32_t i = 0; i < RINGD_NAMED_MAX; i++)
        all &= memchr(page->named[i].name, '\0', sizeof page->named[i].name) != NULL;
    return all;
}

static bool is_sound(const struct record_page *page, uint64_t bytes, const char *ring)
{
    uint32_t state = atomic_load_explicit(&page->state, memory_order_acquire);

    for (uint32_t i = 0; i < RINGD_GROUPS_MAX; i++) {
        if (memchr(page->groups[i].label, '\0', sizeof page->groups[i].label) == NULL)
            return false;
    }
    return state >= RECORD_MAKING && state <= RECORD_REMOVED && page->lane_count >= 1 &&
           page->lane_count <= RINGD_LANES_MAX && bytes == record_page_bytes(page->lane_count) && names_end(page) &&
           strcmp(page->name, ring) == 0;
}

int record_page_check(const struct record_page *page, uint64_t bytes, const char *ring)
{
    if (page->magic != RECORD_MAGIC)
        return -EBADMSG;
    if (page->version != RECORD_VERSION)
        return -EPROTONOSUPPORT;
    return is_sound(page, bytes, ring) ? 0 : -EBADMSG;
}

const struct ringd_segment_header *record_page_header(const struct record_page *page, uint64_t generation)
{
    const struct record_generation *entry = &page->generations[generation % RECORD_GENERATIONS];

    return generation != 0 && atomic_load_explicit(&entry->number, memory_order_acquire) == generation &&
                   entry->header.generation == generation
               ? &entry->header
               : NULL;
}

bool life_page_is_sound(const struct ringd_life *page)
{
    return page->magic == RINGD_LIFE_MAGIC && page->version == RINGD_LIFE_VERSION &&
           memchr(page->command, '\0', sizeof page->command) != NULL;
}
