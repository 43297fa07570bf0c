/* ringctl_json.c - rings and contexts as JSON, for list and status.
 *
 * The keys are those of struct ringd_info and struct ringd_context_info and stay as they are; where a writer or reader
 * has nothing to say, as an observer without a cursor, the key is there with null. Numbers are numbers. Strings that
 * other programs chose are made printable, so that the output is valid UTF-8 whatever they are called.
 */
#include "ringctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON has no limit to its numbers, the library's integers are signed. */
json_t *json_unsigned(uint64_t value)
{
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value);
}

static json_t *json_text(const char *text, size_t max)
{
    char copy[64];
    size_t len = strnlen(text, max < sizeof copy ? max : sizeof copy - 1);

    for (size_t i = 0; i < len; i++)
        copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    return json_stringn(copy, len);
}

static json_t *json_mode(uint32_t mode)
{
    char text[16];

    snprintf(text, sizeof text, "%04o", mode);
    return json_string(text);
}

const char *ring_state_word(uint32_t state)
{
    return state == 1 ? "live" : state == 2 ? "removed" : "unknown";
}

const char *context_kind_word(uint32_t kind)
{
    static const char *const words[] = {"unknown", "writer", "lossless", "lossy", "observer", "evicted"};

    return words[kind <= RINGD_CONTEXT_EVICTED ? kind : 0];
}

const char *context_state_word(uint32_t state)
{
    static const char *const words[] = {"unknown", "idle", "in_record", "waiting", "lost", "dead", "stopped"};

    return words[state <= RINGD_CONTEXT_STOPPED ? state : 0];
}

static void set(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_unsigned(value));
}

static void set_if(json_t *object, const char *key, bool known, uint64_t value)
{
    json_object_set_new(object, key, known ? json_unsigned(value) : json_null());
}

static void set_counters(json_t *object, const struct ringd_info *info)
{
    set(object, "offered", info->offered);
    set(object, "committed", info->committed);
    set(object, "bytes", info->bytes);
    set(object, "aborted", info->aborted);
    set(object, "refused", info->refused);
    set(object, "dropped_full", info->dropped_full);
    set(object, "dropped_stalled", info->dropped_stalled);
    set(object, "lost", info->lost);
    set(object, "group_lost", info->group_lost);
    set(object, "writer_count", info->writers);
    set(object, "lossless_reader_count", info->lossless_readers);
    set(object, "lossy_reader_count", info->lossy_readers);
    set(object, "observer_count", info->observers);
}

json_t *json_ring(const struct ringd_info *info)
{
    json_t *object = json_object();

    json_object_set_new(object, "name", json_text(info->name, sizeof info->name));
    json_object_set_new(object, "state", json_string(ring_state_word(info->state)));
    json_object_set_new(object, "policy", json_string(policy_word(info->policy)));
    json_object_set_new(object, "time", json_string(time_word(info->time)));
    set(object, "size", info->size);
    set(object, "max_record", info->max_record);
    json_object_set_new(object, "hold", json_boolean(info->hold != 0));
    set(object, "lanes", info->lanes);
    set(object, "writers_max", info->writers_max);
    json_object_set_new(object, "stopped", json_string(stopped_word(info->stopped)));
    set(object, "stopped_after_ms", info->stopped_after_ms);
    json_object_set_new(object, "slow", json_string(slow_word(info->slow)));
    set(object, "slow_after_ms", info->slow_after_ms);
    set(object, "slow_bytes", info->slow_bytes);
    json_object_set_new(object, "mode", json_mode(info->mode));
    set(object, "owner_uid", info->owner_uid);
    set(object, "owner_gid", info->owner_gid);
    set(object, "daemon_pid", info->daemon_pid);
    set(object, "generation", info->generation);
    set(object, "created_ns", info->created_ns);
    set(object, "sampled_ns", info->sampled_ns);
    set(object, "ticks_per_second", info->ticks_per_second);
    set(object, "oldest", info->oldest);
    set(object, "position", info->position);
    set(object, "limit", info->limit);
    set_counters(object, info);
    return object;
}

static json_t *json_context(const struct ringd_context_info *context)
{
    json_t *object = json_object();

    json_object_set_new(object, "kind", json_string(context_kind_word(context->kind)));
    json_object_set_new(object, "state", json_string(context_state_word(context->state)));
    set(object, "slot", context->slot);
    set(object, "incarnation", context->incarnation);
    set(object, "pid", context->pid);
    set(object, "uid", context->uid);
    json_object_set_new(object, "command", json_text(context->command, sizeof context->command));
    set(object, "attached_ns", context->attached_ns);
    set_if(object, "since_ns", context->since_ns != 0, context->since_ns);
    set_if(object, "ahead", context->state == RINGD_CONTEXT_STOPPED, context->ahead);
    return object;
}

json_t *json_writer(const struct ringd_context_info *context)
{
    json_t *object = json_context(context);

    set(object, "lane", context->lane);
    set(object, "offered", context->offered);
    set(object, "committed", context->committed);
    set(object, "bytes", context->bytes);
    set(object, "aborted", context->aborted);
    set(object, "refused", context->refused);
    set(object, "dropped_full", context->dropped_full);
    set(object, "dropped_stalled", context->dropped_stalled);
    set(object, "waited", context->waited);
    return object;
}

json_t *json_reader(const struct ringd_context_info *context)
{
    bool tells = context->kind != RINGD_CONTEXT_OBSERVER; /* an observer cannot write its counters down */
    json_t *object = json_context(context);

    set_if(object, "lane", context->lane != 0, context->lane);
    set_if(object, "delivered", tells, context->delivered);
    set_if(object, "bytes", tells, context->delivered_bytes);
    set_if(object, "lost", tells, context->lost);
    set_if(object, "skipped", tells, context->skipped);
    set_if(object, "gaps", tells, context->gaps);
    set_if(object, "slept", tells, context->slept);
    set_if(object, "cursor", tells, context->cursor);
    set_if(object, "lag", tells, context->lag);
    json_object_set_new(object, "group",
                        context->member != 0 ? json_text(context->label, sizeof context->label) : json_null());
    set_if(object, "group_lost", context->member != 0, context->group_lost);
    json_object_set_new(object, "named_cursor",
                        context->member == 0 && context->label[0] != '\0'
                            ? json_text(context->label, sizeof context->label)
                            : json_null());
    return object;
}

json_t *json_named(const struct ringd_context_info *cursor)
{
    json_t *object = json_object();

    json_object_set_new(object, "name", json_text(cursor->label, sizeof cursor->label));
    set_if(object, "reader", cursor->kind != 0, cursor->slot);
    set(object, "cursor", cursor->cursor);
    set(object, "lag", cursor->lag);
    return object;
}

void json_add_rates(json_t *object, const struct rates *rates)
{
    json_object_set_new(object, "records_per_second", rates->known ? json_real(rates->records) : json_null());
    json_object_set_new(object, "bytes_per_second", rates->known ? json_real(rates->bytes) : json_null());
}

int print_json(const struct options *options, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;

    json_decref(json);
    if (text == NULL)
        return say_failure(options, -ENOMEM);
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the terminating zero */
    int code = print_text(options, text, len + 1);
    free(text);
    return code;
}
