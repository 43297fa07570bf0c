/* ringctl_doctor.c - doctor: is this ring sound? Checks a ring while it is in use, and says what is wrong and by how
 * much.
 *
 * It attaches as an observer, by the same messages as the library, because it needs the map and not a reader's handle:
 * everything is mapped read-only, nobody waits for it, and the daemon knows it like any other. Then it looks; see
 * ringctl_doctor.h. What is printed is a line for each check, and one with the sum. The exit code is RINGCTL_WRONG if
 * anything was found to be wrong.
 *
 * Without a name all rings are examined, and a line is printed for each and for each check that is not ok. Whether
 * there is a daemon or not, what is in shared memory without a ring, or without a daemon, is told by
 * ringctl_leftovers.c.
 */
#define _GNU_SOURCE
#include "ringctl_doctor.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto.h"
#include "ringctl_leftovers.h"
#include "ringctl_status.h"
#include "ringctl_table.h"

#define ROUNDS_MAX      4096
#define BRIEFLY_NS      1000000
#define PAUSES_MAX      6000
#define DESCRIPTOR_LIFE 2
#define DESCRIPTORS_NONE                                                                                               \
    {                                                                                                                  \
        -1, -1, -1                                                                                                     \
    }

/* ---- findings --------------------------------------------------------------------------------------------------- */

static struct finding *finding_new(struct patient *patient)
{
    if (patient->finding_count == patient->finding_max) {
        size_t max = patient->finding_max * 2 + 64;
        struct finding *longer = reallocarray(patient->findings, max, sizeof *longer);

        if (longer == NULL) {
            patient->no_memory = true;
            return NULL;
        }
        patient->findings = longer;
        patient->finding_max = max;
    }
    return &patient->findings[patient->finding_count++];
}

struct finding *find(struct patient *patient, enum verdict verdict, const char *check, const char *format, ...)
{
    struct finding *finding = finding_new(patient);
    va_list arguments;

    if (finding == NULL)
        return NULL;
    *finding = (struct finding){.verdict = verdict, .check = check, .slot = NO_SLOT, .lane = NO_LANE};
    if (patient->segment.geometry.lane_count > 1)
        finding->lane = patient->lane;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    return finding;
}

static size_t count_findings(const struct patient *patient, enum verdict verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < patient->finding_count; i++)
        count += patient->findings[i].verdict == verdict;
    return count;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

bool pause_briefly(struct patient *patient)
{
    if (patient->pauses == PAUSES_MAX)
        return false;
    patient->pauses++;
    nanosleep(&(struct timespec){.tv_nsec = BRIEFLY_NS}, NULL);
    return true;
}

const struct ringd_context_info *patient_context(const struct patient *patient, bool writer, uint32_t slot)
{
    for (size_t i = 0; i < patient->context_count; i++) {
        const struct ringd_context_info *context = &patient->contexts[i];

        if ((context->kind == RINGD_CONTEXT_WRITER) == writer && context->slot == slot)
            return context;
    }
    return NULL;
}

uint64_t patient_floor(const struct patient *patient)
{
    return ring_oldest_at(&patient->ring, atomic_load_explicit(&patient->ring.lane->limit, memory_order_acquire));
}

/* Of the writers active in the word, each place loaded once. */
static uint64_t frontier_of(const struct patient *patient, uint64_t word, uint64_t position)
{
    uint64_t frontier = position;

    for (uint64_t active = word & RINGD_W_ACTIVE; active != 0; active &= active - 1) {
        const struct ringd_writer_slot *slot = &patient->ring.lane->writers[__builtin_ctzll(active)];
        uint64_t begin = atomic_load_explicit(&slot->begin, memory_order_acquire) & RINGD_POSITION_MASK;

        if ((int64_t)(begin - frontier) < 0)
            frontier = begin;
    }
    return frontier;
}

bool patient_look(const struct patient *patient, struct look_at_ring *look)
{
    const struct ringd_lane *lane = patient->ring.lane;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        uint64_t before = atomic_load_explicit(&lane->limit, memory_order_seq_cst);
        uint64_t word = atomic_load_explicit(&lane->word, memory_order_seq_cst);
        uint64_t after = atomic_load_explicit(&lane->limit, memory_order_acquire);

        if (after - (before & RINGD_POSITION_MASK) > RING_LIMIT_JUMP)
            continue;
        look->word = word;
        look->position = ring_extend(ring_floor(&patient->ring, before), word);
        look->limit = after & RINGD_POSITION_MASK;
        look->frontier = frontier_of(patient, word, look->position);
        look->floor = patient_floor(patient);
        return true;
    }
    return false;
}

void patient_record(const struct patient *patient, uint64_t position, struct record_seen *record)
{
    const struct ringd_record_header *header = ring_header(&patient->ring, position);
    uint64_t state = ring_stamp_state(&patient->ring, position, memory_order_acquire);
    uint64_t extent = atomic_load_explicit(&header->extent, memory_order_relaxed);
    uint64_t origin = atomic_load_explicit(&header->origin, memory_order_relaxed);

    *record = (struct record_seen){
        .state = ring_state_valid(state) ? (uint32_t)state : 0,
        .len = (uint32_t)extent,
        .sequence = (uint32_t)(extent >> 32),
        .writer = (uint32_t)(origin & RINGD_ORIGIN_WRITER_MASK),
        .bytes = ring_record_bytes((uint32_t)extent),
    };
    atomic_thread_fence(memory_order_acquire); /* the floor comes after */
}

/* ---- attaching -------------------------------------------------------------------------------------------------- */

/* The descriptor of the life page stays open: it is what tells the daemon that this observer is there. */
struct attachment_to_patient {
    int socket_fd;
    int life_fd;
};

static int attach_and_map(struct patient *patient, struct attachment_to_patient *attachment, const char *name)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS] = DESCRIPTORS_NONE;
    struct ringd_request request;
    struct proto_reply reply;
    int result = proto_connect(attachment->socket_fd, proto_socket_path());

    proto_request_init(&request, RINGD_REQUEST_ATTACH, name);
    request.kind = RINGD_CONTEXT_OBSERVER;
    if (result == 0)
        result = proto_send(attachment->socket_fd, &request);
    if (result == 0)
        result = proto_wait(attachment->socket_fd, PROTO_TIMEOUT_MS);
    if (result == 0)
        result = proto_receive(attachment->socket_fd, request.type, &reply, descriptors);
    if (result == 0)
        result = reply.head.result;
    if (result == 0)
        result = segment_map(&patient->segment, descriptors[0], descriptors[1], SEGMENT_OBSERVER);
    for (int i = 0; i < DESCRIPTOR_LIFE; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    attachment->life_fd = descriptors[DESCRIPTOR_LIFE];
    patient->own_slot = result == 0 ? reply.head.slot : NO_SLOT;
    return result;
}

static int attach(struct patient *patient, struct attachment_to_patient *attachment, const char *name)
{
    attachment->life_fd = -1;
    attachment->socket_fd = proto_socket();
    if (attachment->socket_fd < 0)
        return attachment->socket_fd;
    return attach_and_map(patient, attachment, name);
}

static void detach(struct patient *patient, struct attachment_to_patient *attachment)
{
    segment_unmap(&patient->segment);
    if (attachment->life_fd >= 0)
        close(attachment->life_fd);
    if (attachment->socket_fd >= 0)
        close(attachment->socket_fd);
}

void patient_enter_lane(struct patient *patient, uint32_t lane)
{
    const struct geometry *g = &patient->segment.geometry;

    patient->lane = lane;
    patient->ring = (struct ring){
        .lane = segment_lane(&patient->segment, lane),
        .data = segment_lane_data(&patient->segment, lane),
        .mask = g->data_bytes - 1,
        .reach = g->data_bytes - g->head_room,
        .first = segment_lane_first(&patient->segment, lane),
        .stamp_key = g->stamp_key,
        .max_grant = g->max_grant,
        .size = g->data_bytes,
        .control = patient->segment.control,
        .cursors = segment_cursor(&patient->segment, lane, 0),
        .groups = segment_group(&patient->segment, lane, 0),
    };
}

/* ---- saying it -------------------------------------------------------------------------------------------------- */

const char *verdict_word(enum verdict verdict)
{
    static const char *const words[] = {"ok", "pending", "WRONG"};

    return words[verdict];
}

const char *verdict_key(enum verdict verdict)
{
    static const char *const keys[] = {"ok", "pending", "wrong"};

    return keys[verdict];
}

static void print_finding(struct page *page, const struct finding *finding)
{
    char name[32], lane[24] = "";

    if (finding->slot == NO_SLOT)
        snprintf(name, sizeof name, "%s", finding->check);
    else
        snprintf(name, sizeof name, "%s %u", finding->check, finding->slot);
    if (finding->lane != NO_LANE)
        snprintf(lane, sizeof lane, "lane %u: ", finding->lane + 1);
    page_text(page, "%-8s %-11s %s%s\n", verdict_word(finding->verdict), name, lane, finding->text);
}

static void print_sum(struct page *page, const struct patient *patient)
{
    page_text(page, "%s: %zu ok, %zu pending, %zu wrong\n", patient->name, count_findings(patient, VERDICT_OK),
              count_findings(patient, VERDICT_PENDING), count_findings(patient, VERDICT_WRONG));
}

static int print_page(const struct options *options, const struct patient *patient)
{
    struct page page;

    page_init(&page);
    for (size_t i = 0; i < patient->finding_count; i++)
        print_finding(&page, &patient->findings[i]);
    print_sum(&page, patient);
    return page_print(&page, options);
}

static json_t *json_finding(const struct finding *finding)
{
    json_t *object = json_pack("{s:s, s:s, s:s}", "check", finding->check, "result", verdict_key(finding->verdict),
                               "text", finding->text);
    bool slot = finding->slot != NO_SLOT, lane = finding->lane != NO_LANE;

    json_object_set_new(object, "slot", slot ? json_unsigned(finding->slot) : json_null());
    json_object_set_new(object, "lane", lane ? json_unsigned(finding->lane + UINT64_C(1)) : json_null());
    json_object_set_new(object, "pid", finding->pid != 0 ? json_unsigned(finding->pid) : json_null());
    json_object_set_new(object, "position", finding->position != 0 ? json_unsigned(finding->position) : json_null());
    json_object_set_new(object, "difference", json_integer(finding->difference));
    return object;
}

static json_t *json_patient(const struct patient *patient)
{
    json_t *object = json_object();
    json_t *checks = json_array();

    for (size_t i = 0; i < patient->finding_count; i++)
        json_array_append_new(checks, json_finding(&patient->findings[i]));
    json_object_set_new(object, "name", json_string(patient->name));
    json_object_set_new(object, "generation", json_unsigned(patient->generation));
    json_object_set_new(object, "sound", json_boolean(count_findings(patient, VERDICT_WRONG) == 0));
    json_object_set_new(object, "ok", json_unsigned(count_findings(patient, VERDICT_OK)));
    json_object_set_new(object, "pending", json_unsigned(count_findings(patient, VERDICT_PENDING)));
    json_object_set_new(object, "wrong", json_unsigned(count_findings(patient, VERDICT_WRONG)));
    json_object_set_new(object, "checks", checks);
    return object;
}

static int report(const struct options *options, const struct patient *patient)
{
    int code;

    if (patient->no_memory)
        return say_failure(options, -ENOMEM);
    code = options->json ? print_json(options, json_patient(patient)) : print_page(options, patient);
    return code == RINGCTL_DONE && count_findings(patient, VERDICT_WRONG) > 0 ? RINGCTL_WRONG : code;
}

/* ---- one ring --------------------------------------------------------------------------------------------------- */

/* What came of it is in the patient. 0 or a negative errno, with the words of the library where it spoke. */
static int examine(struct patient *patient)
{
    struct sample sample = {0};
    int result = sample_take(&sample, patient->name);

    if (result != 0)
        return result;
    patient->info = sample.ring;
    patient->generation = patient->segment.geometry.generation;
    patient->contexts = sample.contexts;
    patient->context_count = sample.count;
    for (uint32_t lane = 0; lane < patient->segment.geometry.lane_count; lane++) {
        patient_enter_lane(patient, lane);
        examine_memory(patient);
        examine_writers(patient);
    }
    patient->lane = NO_LANE;
    examine_readers(patient);
    sample_deinit(&sample);
    patient->contexts = NULL;
    patient->context_count = 0;
    return patient->no_memory ? -ENOMEM : 0;
}

#define HEADER_WRONG                                                                                                   \
    "the ring's header makes no sense: somebody has scribbled over it; remove the ring and make it anew"

/* The patient is to be destroyed in any case. */
static int examine_ring(struct patient *patient, const char *name)
{
    struct attachment_to_patient attachment;
    struct ringd *ring;
    int result = ringd_open(&ring, name); /* has the words when something is not as it should be */

    *patient = (struct patient){.name = name, .lane = NO_LANE};
    if (result != 0)
        return result;
    ringd_close(ring);
    result = attach(patient, &attachment, name);
    if (result == -EBADMSG)
        patient->no_header = true;
    if (result == 0)
        result = examine(patient);
    detach(patient, &attachment);
    return result;
}

static int doctor_one(const struct options *options)
{
    struct patient patient;
    int result = examine_ring(&patient, options->name);
    int code;

    if (patient.no_header) {
        say(options, HEADER_WRONG);
        code = RINGCTL_WRONG;
    } else {
        code = result == 0 ? report(options, &patient) : say_call_failure(options, result);
    }
    free(patient.findings);
    return code;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* What is printed for all rings, in one form or the other. */
struct summary {
    const struct options *options;
    struct page page;
    json_t *rings;
    int code; /* so far */
};

/* Something wrong counts more than something that could not be looked at. */
static void count_code(struct summary *summary, int code)
{
    if (summary->code == RINGCTL_DONE || code == RINGCTL_WRONG)
        summary->code = code;
}

static void summarize(struct summary *summary, const struct patient *patient)
{
    count_code(summary, count_findings(patient, VERDICT_WRONG) > 0 ? RINGCTL_WRONG : RINGCTL_DONE);
    json_array_append_new(summary->rings, json_patient(patient));
    print_sum(&summary->page, patient);
    for (size_t i = 0; i < patient->finding_count; i++) {
        if (patient->findings[i].verdict != VERDICT_OK)
            print_finding(&summary->page, &patient->findings[i]);
    }
}

/* One that is gone by now is not missed. */
static void summarize_failure(struct summary *summary, struct patient *patient, int result)
{
    const char *words = ringd_error();

    if (result == -ENOENT || result == -ESHUTDOWN)
        return;
    if (patient->no_header)
        find(patient, VERDICT_WRONG, "header", HEADER_WRONG);
    else
        find(patient, VERDICT_PENDING, "examine", "%s", words[0] != '\0' ? words : ringd_strerror(result));
    if (!patient->no_header)
        count_code(summary, exit_code_of(result));
    summarize(summary, patient);
}

static void summarize_ring(struct summary *summary, const char *name)
{
    struct patient patient;
    int result = examine_ring(&patient, name);

    if (result == 0)
        summarize(summary, &patient);
    else
        summarize_failure(summary, &patient, result);
    free(patient.findings);
}

static int print_summary(struct summary *summary, struct leftovers *left, bool daemon)
{
    const struct options *options = summary->options;
    json_t *object = json_object();
    int code;

    if (leftovers_verdict(left) == VERDICT_WRONG)
        count_code(summary, RINGCTL_WRONG);
    json_object_set_new(object, "daemon", json_boolean(daemon));
    json_object_set_new(object, "sound", json_boolean(summary->code != RINGCTL_WRONG));
    json_object_set_new(object, "rings", summary->rings);
    leftovers_json(left, object);
    leftovers_print(left, &summary->page);
    if (options->json) {
        code = print_json(options, object);
        page_deinit(&summary->page);
    } else {
        code = page_print(&summary->page, options);
        json_decref(object);
    }
    return code == RINGCTL_DONE ? summary->code : code;
}

static int doctor_all(struct summary *summary, struct leftovers *left)
{
    struct ringd_info *rings;
    size_t count;
    int result = rings_fetch(&rings, &count);

    if (result == -ECONNREFUSED || result == -ECONNRESET || result == -ETIMEDOUT) {
        leftovers_explain(left, result == -ETIMEDOUT);
        if (left->hidden)
            count_code(summary, RINGCTL_NOT_PERMITTED);
        return print_summary(summary, left, false);
    }
    if (result != 0) {
        json_decref(summary->rings);
        page_deinit(&summary->page);
        return say_call_failure(summary->options, result);
    }
    for (size_t i = 0; i < count; i++)
        summarize_ring(summary, rings[i].name);
    if (count == 0)
        page_text(&summary->page, "ringd has no rings\n");
    leftovers_compare(left, rings, count);
    free(rings);
    return print_summary(summary, left, true);
}

static int doctor_instance(const struct options *options)
{
    struct summary summary = {.options = options, .code = RINGCTL_DONE};
    struct leftovers left;
    int result = leftovers_find(&left), code;

    if (result < 0) {
        say(options,
            "cannot look for what is in the shared memory of the ringd at %s: %s; give its socket with --socket",
            proto_socket_path(), ringd_strerror(result));
        leftovers_deinit(&left);
        return result == -ENOENT || result == -ENOTDIR ? RINGCTL_NO_DAEMON : exit_code_of(result);
    }
    page_init(&summary.page);
    summary.rings = json_array();
    code = doctor_all(&summary, &left);
    if (left.no_memory)
        code = say_failure(options, -ENOMEM);
    leftovers_deinit(&left);
    return code;
}

int command_doctor(const struct options *options)
{
    return options->name != NULL ? doctor_one(options) : doctor_instance(options);
}
