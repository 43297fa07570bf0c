/* ringctl_view.c - what `status` shows to people: one ring with its contexts, or a line for each ring.
 *
 * Counters and positions are printed in full, so that they can be compared; sizes and rates of bytes in short form.
 * What a context cannot tell (an observer writes nothing down) is "-".
 */
#include "ringctl_status.h"
#include "ringctl_table.h"

#include <time.h>

static void rate_cells(struct table *table, const struct rates *rates)
{
    char text[SIZE_TEXT_BYTES];

    if (!rates->known) {
        table_cell(table, "-");
        table_cell(table, "-");
        return;
    }
    table_cell(table, "%.0f", rates->records);
    table_cell(table, "%s", size_text(text, rates->bytes));
}

static void number_cell(struct table *table, bool known, uint64_t value)
{
    if (known)
        table_cell(table, "%llu", (unsigned long long)value);
    else
        table_cell(table, "-");
}

static void context_cells(struct table *table, const struct ringd_context_info *context)
{
    table_line(table);
    table_cell(table, "%u", context->slot);
    table_cell(table, "%s", context_kind_word(context->kind));
    table_cell(table, "%s", context_state_word(context->state));
    table_cell(table, "%u", context->pid);
    table_cell(table, "%u", context->uid);
    table_cell(table, "%.16s", context->command);
}

static const struct table_column writer_columns[] = {
    {"SLOT", true},    {"KIND", false},   {"STATE", false}, {"PID", true},       {"UID", true},     {"COMMAND", false},
    {"LANE", true},    {"RECORDS", true}, {"BYTES", true},  {"RECORDS/S", true}, {"BYTES/S", true}, {"ABORTED", true},
    {"REFUSED", true}, {"DROPPED", true}, {"WAITED", true}, {NULL, false},
};

static void writer_line(struct table *table, const struct ringd_context_info *writer, const struct rates *rates)
{
    context_cells(table, writer);
    number_cell(table, true, writer->lane);
    number_cell(table, true, writer->committed);
    number_cell(table, true, writer->bytes);
    rate_cells(table, rates);
    number_cell(table, true, writer->aborted);
    number_cell(table, true, writer->refused);
    number_cell(table, true, writer->dropped_full + writer->dropped_stalled);
    number_cell(table, true, writer->waited);
}

static const struct table_column reader_columns[] = {
    {"SLOT", true}, {"KIND", false},   {"STATE", false}, {"PID", true},       {"UID", true},     {"COMMAND", false},
    {"LANE", true}, {"RECORDS", true}, {"BYTES", true},  {"RECORDS/S", true}, {"BYTES/S", true}, {"LOST", true},
    {"GAPS", true}, {"CURSOR", true},  {"LAG", true},    {"SLEPT", true},     {"NAME", false},   {NULL, false},
};

static void reader_line(struct table *table, const struct ringd_context_info *reader, const struct rates *rates)
{
    bool tells = reader->kind != RINGD_CONTEXT_OBSERVER;

    context_cells(table, reader);
    if (reader->lane != 0)
        number_cell(table, true, reader->lane);
    else
        table_cell(table, "all");
    number_cell(table, tells, reader->delivered);
    number_cell(table, tells, reader->delivered_bytes);
    rate_cells(table, rates);
    number_cell(table, tells, reader->lost);
    number_cell(table, tells, reader->gaps);
    number_cell(table, tells, reader->cursor);
    number_cell(table, tells, reader->lag);
    number_cell(table, tells, reader->slept);
    table_cell(table, "%.47s%s", reader->label[0] != '\0' ? reader->label : "-", reader->member != 0 ? " (group)" : "");
}

static void context_lines(struct table *table, const struct sample *now, const struct sample *before, bool writers)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct ringd_context_info *context = &now->contexts[i];
        if ((context->kind == RINGD_CONTEXT_WRITER) == writers) {
            struct rates rates = context_rates(now, before, context);
            (writers ? writer_line : reader_line)(table, context, &rates);
        }
    }
}

static void context_table(struct page *page, const struct sample *now, const struct sample *before, bool writers)
{
    size_t count = 0;

    for (size_t i = 0; i < now->count; i++)
        count += (now->contexts[i].kind == RINGD_CONTEXT_WRITER) == writers;
    if (count == 0) {
        page_text(page, "\nno %s attached\n", writers ? "writers" : "readers");
        return;
    }
    struct table table;
    page_text(page, "\n");
    table_init(&table, page, writers ? writer_columns : reader_columns);
    context_lines(&table, now, before, writers);
    table_finish(&table);
}

static const struct table_column named_columns[] = {{"NAME", false}, {"CURSOR", true}, {"LAG", true}, {NULL, false}};

/* The others are in the table of readers. */
static void named_table(struct page *page, const struct sample *now)
{
    struct table table;
    size_t count = 0;

    for (size_t i = 0; i < now->named_count; i++)
        count += now->named[i].kind == 0;
    if (count == 0)
        return;
    page_text(page, "\n%zu named cursor%s that no reader has\n", count, count == 1 ? "" : "s");
    table_init(&table, page, named_columns);
    for (size_t i = 0; i < now->named_count; i++) {
        if (now->named[i].kind != 0)
            continue;
        table_line(&table);
        table_cell(&table, "%.47s", now->named[i].label);
        number_cell(&table, true, now->named[i].cursor);
        number_cell(&table, true, now->named[i].lag);
    }
    table_finish(&table);
}

/* CLOCK_REALTIME nanoseconds as local time. */
static const char *time_text(char *text, size_t max, uint64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm local;

    if (localtime_r(&seconds, &local) == NULL || strftime(text, max, "%Y-%m-%d %H:%M:%S", &local) == 0)
        return "?";
    return text;
}

static const char *without_reader(const struct ringd_info *ring)
{
    if (ring->policy != RINGD_LOSSLESS)
        return "";
    return ring->hold != 0 ? ", holds while no lossless reader is attached"
                           : ", runs free while no lossless reader is attached";
}

/* "200ms", "1500ms", "2s". */
static const char *ms_text(char text[static SIZE_TEXT_BYTES], uint32_t ms)
{
    bool seconds = ms % 1000 == 0;

    snprintf(text, SIZE_TEXT_BYTES, "%u%s", seconds ? ms / 1000 : ms, seconds ? "s" : "ms");
    return text;
}

/* What is done about those who are in the way, and from when on. */
static void bounds_text(struct page *page, const struct ringd_info *ring)
{
    char text[SIZE_TEXT_BYTES];

    page_text(page, "bounds    stopped writers: %s", stopped_word(ring->stopped));
    if (ring->stopped_after_ms != 0)
        page_text(page, " after %s", ms_text(text, ring->stopped_after_ms));
    page_text(page, "; slow readers: %s", slow_word(ring->slow));
    if (ring->slow_bytes != 0)
        page_text(page, " when %s behind", size_text(text, (double)ring->slow_bytes));
    if (ring->slow_after_ms != 0)
        page_text(page, "%s after keeping writers waiting for %s", ring->slow_bytes != 0 ? " or" : "",
                  ms_text(text, ring->slow_after_ms));
    page_text(page, "\n");
}

/* "1M", "1M in each of 4 lanes". */
static void size_of_lanes(struct page *page, const struct ringd_info *ring)
{
    char text[SIZE_TEXT_BYTES];

    page_text(page, "size      %s", size_text(text, (double)ring->size));
    if (ring->lanes > 1)
        page_text(page, " in each of %u lanes", ring->lanes);
    if (ring->writers_max == 1)
        page_text(page, ", one writer%s", ring->lanes > 1 ? " each" : "");
}

static void ring_text(struct page *page, const struct ringd_info *ring, const struct rates *rates)
{
    char record[SIZE_TEXT_BYTES], used[SIZE_TEXT_BYTES], rate[SIZE_TEXT_BYTES], created[32];

    page_text(page, "ring      %.63s, %s, %s%s\n", ring->name, ring_state_word(ring->state), policy_word(ring->policy),
              without_reader(ring));
    size_of_lanes(page, ring);
    page_text(page, ", records up to %s, time %s, mode %04o, owner %u:%u\n", size_text(record, ring->max_record),
              time_word(ring->time), ring->mode, ring->owner_uid, ring->owner_gid);
    bounds_text(page, ring);
    page_text(page, "created   %s, generation %llu, daemon %u\n", time_text(created, sizeof created, ring->created_ns),
              (unsigned long long)ring->generation, ring->daemon_pid);
    page_text(page, "position  %llu, oldest %llu (%s back), limit %llu%s\n", (unsigned long long)ring->position,
              (unsigned long long)ring->oldest, size_text(used, (double)(ring->position - ring->oldest)),
              (unsigned long long)ring->limit, ring->lanes > 1 ? "; the sums of all lanes" : "");
    page_text(page, "records   %llu offered = %llu committed + %llu aborted + %llu refused + %llu dropped",
              (unsigned long long)ring->offered, (unsigned long long)ring->committed, (unsigned long long)ring->aborted,
              (unsigned long long)ring->refused, (unsigned long long)(ring->dropped_full + ring->dropped_stalled));
    page_text(page, " (%llu full, %llu stalled) + %llu lost by deaths\n", (unsigned long long)ring->dropped_full,
              (unsigned long long)ring->dropped_stalled, (unsigned long long)ring->lost);
    if (ring->group_lost > 0)
        page_text(page, "groups    %llu records are lost with members that died\n",
                  (unsigned long long)ring->group_lost);
    page_text(page, "bytes     %llu\n", (unsigned long long)ring->bytes);
    if (rates->known)
        page_text(page, "rate      %.0f records/s, %s bytes/s\n", rates->records, size_text(rate, rates->bytes));
}

/* Who is stopped, since when, and how far the others come without him. */
static void stopped_text(struct page *page, const struct sample *now)
{
    char since[32], ahead[SIZE_TEXT_BYTES];

    for (size_t i = 0; i < now->count; i++) {
        const struct ringd_context_info *c = &now->contexts[i];

        if (c->state != RINGD_CONTEXT_STOPPED)
            continue;
        page_text(page, "\n%s %u (pid %u) is stopped, since %s", context_kind_word(c->kind), c->slot, c->pid,
                  time_text(since, sizeof since, c->since_ns));
        if (c->ahead != 0)
            page_text(page, ", in mid-record; others can write %s more", size_text(ahead, (double)c->ahead));
        page_text(page, "\n");
    }
}

int view_ring(const struct options *options, const struct sample *now, const struct sample *before)
{
    struct page page;

    page_init(&page);
    struct rates rates = ring_rates(&now->ring, &before->ring);
    ring_text(&page, &now->ring, &rates);
    context_table(&page, now, before, true);
    context_table(&page, now, before, false);
    named_table(&page, now);
    stopped_text(&page, now);
    return page_print(&page, options);
}

static const struct table_column ring_columns[] = {
    {"NAME", false},   {"POLICY", false},   {"SIZE", true},    {"WRITERS", true}, {"LOSSLESS", true},
    {"LOSSY", true},   {"OBSERVERS", true}, {"RECORDS", true}, {"BYTES", true},   {"RECORDS/S", true},
    {"BYTES/S", true}, {"REFUSED", true},   {"DROPPED", true}, {NULL, false},
};

static void ring_line(struct table *table, const struct ringd_info *ring, const struct rates *rates)
{
    char text[SIZE_TEXT_BYTES];

    table_line(table);
    table_cell(table, "%.63s", ring->name);
    table_cell(table, "%s", policy_word(ring->policy));
    table_cell(table, "%s", size_text(text, (double)ring->size));
    table_cell(table, "%u", ring->writers);
    table_cell(table, "%u", ring->lossless_readers);
    table_cell(table, "%u", ring->lossy_readers);
    table_cell(table, "%u", ring->observers);
    number_cell(table, true, ring->committed);
    number_cell(table, true, ring->bytes);
    rate_cells(table, rates);
    number_cell(table, true, ring->refused);
    number_cell(table, true, ring->dropped_full + ring->dropped_stalled);
}

int view_rings(const struct options *options, const struct rings *now, const struct rings *before)
{
    struct page page;
    struct table table;

    page_init(&page);
    table_init(&table, &page, ring_columns);
    for (size_t i = 0; i < now->count; i++) {
        struct rates rates = ring_rates(&now->infos[i], rings_find(before, now->infos[i].name));
        ring_line(&table, &now->infos[i], &rates);
    }
    table_finish(&table);
    return page_print(&page, options);
}
