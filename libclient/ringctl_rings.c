/* ringctl_rings.c - create, remove, resize, forget and list: one question to the daemon each.
 *
 * Here are also the two ways in which other commands ask for what the daemon knows of rings. Nothing is remembered
 * between calls: rings come and go.
 */
#include "ringctl.h"
#include "ringctl_table.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_GUESS 64

int rings_fetch(struct ringd_info **rings, size_t *count)
{
    struct ringd_info *infos = NULL;
    size_t max = 0;
    size_t there = FIRST_GUESS;
    int result = 0;

    while (result == 0 && there > max) { /* more may have been made between two calls */
        max = there;
        free(infos);
        infos = calloc(max, sizeof *infos);
        result = infos != NULL ? ringd_list(infos, max, &there) : -ENOMEM;
    }
    if (result != 0) {
        free(infos);
        return result;
    }
    *rings = infos;
    *count = there;
    return 0;
}

static int ring_from_list(const char *name, struct ringd_info *info)
{
    struct ringd_info *rings;
    size_t count;
    int result = rings_fetch(&rings, &count);

    if (result != 0)
        return result;
    result = -EACCES;
    for (size_t i = 0; i < count && result != 0; i++) {
        if (strncmp(rings[i].name, name, sizeof rings[i].name) == 0) {
            *info = rings[i];
            result = 0;
        }
    }
    free(rings);
    return result;
}

int ring_fetch(const char *name, struct ringd_info *info)
{
    size_t contexts;
    int result = ringd_status(name, info, NULL, 0, &contexts);

    return result == -EACCES ? ring_from_list(name, info) : result;
}

/* What came of it, if that was asked for. */
static int finish_change(const struct options *options, int result)
{
    struct ringd_info info;

    if (result != 0)
        return say_call_failure(options, result);
    if (!options->json)
        return RINGCTL_DONE;
    result = ring_fetch(options->name, &info);
    return result == 0 ? print_json(options, json_ring(&info)) : say_call_failure(options, result);
}

int command_create(const struct options *options)
{
    return finish_change(options, ringd_create(options->name, &options->ring));
}

int command_resize(const struct options *options)
{
    return finish_change(options, ringd_resize(options->name, options->ring.size));
}

int command_remove(const struct options *options)
{
    int result = ringd_remove(options->name);

    if (result != 0)
        return say_call_failure(options, result);
    return options->json ? print_json(options, json_pack("{s:s, s:b}", "name", options->name, "removed", 1))
                         : RINGCTL_DONE;
}

int command_forget(const struct options *options)
{
    int result = ringd_forget(options->name, options->cursor);

    if (result != 0)
        return say_call_failure(options, result);
    return options->json ? print_json(options, json_pack("{s:s, s:s, s:b}", "name", options->name, "named_cursor",
                                                         options->cursor, "forgotten", 1))
                         : RINGCTL_DONE;
}

static int list_json(const struct options *options, const struct ringd_info *rings, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_ring(&rings[i]));
    return print_json(options, list);
}

static const struct table_column list_columns[] = {
    {"NAME", false}, {"POLICY", false}, {"SIZE", true},    {"RECORD", true},  {"TIME", false}, {"MODE", true},
    {"UID", true},   {"GID", true},     {"WRITERS", true}, {"READERS", true}, {NULL, false},
};

static void list_line(struct table *table, const struct ringd_info *ring)
{
    char text[SIZE_TEXT_BYTES];

    table_line(table);
    table_cell(table, "%.63s", ring->name);
    table_cell(table, "%s", policy_word(ring->policy));
    table_cell(table, "%s", size_text(text, (double)ring->size));
    table_cell(table, "%s", size_text(text, (double)ring->max_record));
    table_cell(table, "%s", time_word(ring->time));
    table_cell(table, "%04o", ring->mode);
    table_cell(table, "%u", ring->owner_uid);
    table_cell(table, "%u", ring->owner_gid);
    table_cell(table, "%u", ring->writers);
    table_cell(table, "%u", ring->lossless_readers + ring->lossy_readers + ring->observers);
}

static int list_table(const struct options *options, const struct ringd_info *rings, size_t count)
{
    struct page page;
    struct table table;

    page_init(&page);
    table_init(&table, &page, list_columns);
    for (size_t i = 0; i < count; i++)
        list_line(&table, &rings[i]);
    table_finish(&table);
    return page_print(&page, options);
}

int command_list(const struct options *options)
{
    struct ringd_info *rings;
    size_t count;
    int result = rings_fetch(&rings, &count);

    if (result != 0)
        return say_call_failure(options, result);
    int code = options->json ? list_json(options, rings, count) : list_table(options, rings, count);
    free(rings);
    return code;
}
