/* client.c - the calls that speak with the daemon: rings by name, attaching, and the words for what went wrong.
 *
 * Nothing here is on the data path. Each call opens a connection of its own; a context's connection stays open as long
 * as the context. Attaching and forking are kept apart by one mutex, held from the moment a descriptor of the daemon's
 * arrives until its mapping is marked as not to be inherited: a child that got a copy in between would keep the lock of
 * a dead parent's life page.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto.h"
#include "stop_point.h"
#include "wake.h"

/* How often a context that has lost its daemon looks for the next one. */
#define RETRY_NS INT64_C(50000000)

/* How long a fork waits for a thread that is just making a socket: it takes a microsecond. */
#define FORK_YIELDS 1000

/* A daemon that is stopped must not hold an observer; it can look by itself. */
#define ARM_TIMEOUT_MS 5

/* For that to a question that saves writers a wait, and is not asked again. */
#define AHEAD_TIMEOUT_MS 100

/* When a writer counts as stopped on a ring that does nothing about it. */
#define STALLED_DEFAULT_MS 1000

/* Between two looks for a daemon that is away, while the next generation of a ring is wanted from it. */
#define FOLLOW_PAUSE_NS 2000000

#define NS_PER_MS       INT64_C(1000000)

struct ringd {
    char name[RINGD_NAME_BYTES];
    char socket_path[108];
};

static _Thread_local char error_text[RINGD_PROTO_TEXT_BYTES + 192];

static pthread_mutex_t attach_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t attach_once = PTHREAD_ONCE_INIT;
static struct attachment *attachments; /* of this process; under attach_mutex */

/* Connecting again may happen in a signal handler, which takes no mutex: who makes a socket counts itself in
 * `connecting`, and gives up if a fork is under way; who forks says so and waits until nobody is counted. (Both
 * seq_cst: one of the two sees the other.) Then the child knows of every socket that it has. */
static _Atomic int connecting;
static _Atomic bool forking;

/* ---- words ----------------------------------------------------------------------------------------------------- */

int client_fail(int result, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return result;
}

const char *ringd_error(void)
{
    return error_text;
}

/* The daemon's word on a request, or why there is none. */
static int explain(int result, const struct ringd_reply *reply, const char *socket_path)
{
    switch (result) {
    case 0:
        if (reply->result < 0)
            return client_fail(reply->result, "%s", reply->text);
        if (reply->result > 0)
            return client_fail(-EBADMSG, "ringd at %s answered with an unknown result", socket_path);
        return 0;
    case -ECONNREFUSED:
        return client_fail(
            result,
            "no ringd listens at %s; start it (systemctl start ringd, or ringd --runtime-dir DIR) or set "
            "RINGD_SOCKET",
            socket_path);
    case -ETIMEDOUT:
        return client_fail(result, "ringd at %s did not answer within %d seconds; is it stopped?", socket_path,
                           PROTO_TIMEOUT_MS / 1000);
    case -EPROTONOSUPPORT:
    case -EBADMSG:
        return client_fail(result, "what listens at %s speaks another version than this library (%s)", socket_path,
                           ringd_version());
    case -ENAMETOOLONG:
        return client_fail(result, "the socket's path %.40s... is longer than 107 bytes", socket_path);
    default:
        return client_fail(result, "cannot talk to ringd at %s: %s", socket_path, strerror(-result));
    }
}

static int check_name(const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;

    if (len == 0)
        return client_fail(-EINVAL, "a ring's name is missing");
    if (len >= RINGD_NAME_BYTES)
        return client_fail(-EINVAL, "the name has %zu characters; a ring's name has at most %u", len,
                           RINGD_NAME_BYTES - 1);
    /* It is not repeated: anything may be in it, and the words go to terminals. */
    if (name[0] == '.' || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != len)
        return client_fail(-EINVAL, "a ring's name has only letters, digits, '.', '_' and '-', and no '.' first");
    return 0;
}

static int check_label(const char *label)
{
    size_t len = label != NULL ? strlen(label) : 0;

    if (len == 0)
        return client_fail(-EINVAL, "the name of a group or cursor is empty");
    if (len >= RINGD_LABEL_BYTES)
        return client_fail(-EINVAL, "the name has %zu characters; that of a group or cursor has at most %u", len,
                           RINGD_LABEL_BYTES - 1);
    return 0;
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static int ask(const struct ringd_request *request, struct proto_reply *reply)
{
    const char *path = proto_socket_path();
    int fd, result;

    error_text[0] = '\0';
    fd = proto_socket();
    result = fd < 0 ? fd : proto_connect(fd, path);
    if (result == 0)
        result = proto_exchange(fd, request, reply);
    if (fd >= 0)
        close(fd);
    return explain(result, &reply->head, path);
}

int ringd_create(const char *name, const struct ringd_ring_options *options)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = check_name(name);

    if (result < 0)
        return result;
    proto_request_init(&request, RINGD_REQUEST_CREATE, name);
    if (options != NULL)
        request.options = *options;
    return ask(&request, &reply);
}

int ringd_remove(const char *name)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = check_name(name);

    if (result < 0)
        return result;
    proto_request_init(&request, RINGD_REQUEST_REMOVE, name);
    return ask(&request, &reply);
}

int ringd_resize(const char *name, uint64_t size)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = check_name(name);

    if (result < 0)
        return result;
    proto_request_init(&request, RINGD_REQUEST_RESIZE, name);
    request.options.size = size;
    return ask(&request, &reply);
}

int ringd_list(struct ringd_info *infos, size_t max, size_t *count)
{
    struct ringd_request request;
    struct proto_reply reply;
    size_t filled = 0;

    *count = 0;
    proto_request_init(&request, RINGD_REQUEST_LIST, "");
    do {
        int result;

        request.first = (uint32_t)filled;
        result = ask(&request, &reply);
        if (result < 0)
            return result;
        for (uint32_t i = 0; i < reply.head.count && filled < max; i++)
            infos[filled++] = reply.infos[i];
    } while (reply.head.count > 0 && filled < max && filled < reply.head.total);
    *count = reply.head.total;
    return 0;
}

static int ask_status(uint16_t type, const char *name, struct ringd_info *info, struct ringd_context_info *contexts,
                      size_t max, size_t *count)
{
    struct ringd_request request;
    struct proto_reply reply;
    size_t filled = 0;
    int result = check_name(name);

    if (count != NULL)
        *count = 0;
    if (result < 0)
        return result;
    proto_request_init(&request, type, name);
    do {
        request.first = (uint32_t)filled;
        result = ask(&request, &reply);
        if (result < 0)
            return result;
        if (reply.head.count != 1)
            return client_fail(-EBADMSG, "ringd's answer on '%s' makes no sense", name);
        for (uint32_t i = 0; i < reply.head.contexts && filled < max; i++)
            contexts[filled++] = reply.status.contexts[i];
    } while (reply.head.contexts > 0 && filled < max && filled < reply.head.total);
    if (info != NULL)
        *info = reply.status.info;
    if (count != NULL)
        *count = reply.head.total;
    return 0;
}

int ringd_status(const char *name, struct ringd_info *info, struct ringd_context_info *contexts, size_t max,
                 size_t *count)
{
    return ask_status(RINGD_REQUEST_STATUS, name, info, contexts, max, count);
}

int ringd_cursors(const char *name, struct ringd_context_info *cursors, size_t max, size_t *count)
{
    return ask_status(RINGD_REQUEST_CURSORS, name, NULL, cursors, max, count);
}

int ringd_forget(const char *name, const char *cursor)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = check_name(name);

    if (result == 0)
        result = check_label(cursor);
    if (result < 0)
        return result;
    proto_request_init(&request, RINGD_REQUEST_FORGET, name);
    memcpy(request.label, cursor, strlen(cursor) + 1);
    return ask(&request, &reply);
}

int ringd_open(struct ringd **ring, const char *name)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = check_name(name);

    *ring = NULL;
    if (result < 0)
        return result;
    proto_request_init(&request, RINGD_REQUEST_OPEN, name);
    result = ask(&request, &reply);
    if (result < 0)
        return result;
    *ring = calloc(1, sizeof **ring);
    if (*ring == NULL)
        return client_fail(-ENOMEM, "no memory to open '%s'", name);
    memcpy((*ring)->name, name, strlen(name) + 1);
    memcpy((*ring)->socket_path, proto_socket_path(), strlen(proto_socket_path()) + 1);
    return 0;
}

void ringd_close(struct ringd *ring)
{
    free(ring);
}

/* ---- attaching ------------------------------------------------------------------------------------------------- */

/* Not for ever: it may be this very thread that is making a socket, interrupted by a signal handler that forks. */
static void wait_for_sockets(void)
{
    for (int i = 0; i < FORK_YIELDS && atomic_load_explicit(&connecting, memory_order_seq_cst) != 0; i++)
        sched_yield();
}

static void fork_prepare(void)
{
    pthread_mutex_lock(&attach_mutex);
    atomic_store_explicit(&forking, true, memory_order_seq_cst);
    wait_for_sockets();
}

static void fork_parent(void)
{
    atomic_store_explicit(&forking, false, memory_order_seq_cst);
    pthread_mutex_unlock(&attach_mutex);
}

static void remember_socket(struct attachment *a, int fd)
{
    struct stat is;

    if (fd >= 0 && fstat(fd, &is) == 0) {
        a->socket_device = is.st_dev;
        a->socket_inode = is.st_ino;
    }
    atomic_store_explicit(&a->socket_fd, fd, memory_order_seq_cst);
}

static bool socket_is_ours(const struct attachment *a, int fd)
{
    struct stat is;

    return fd >= 0 && fstat(fd, &is) == 0 && is.st_dev == a->socket_device && is.st_ino == a->socket_inode;
}

/* The child owns none of its parent's contexts. Their handles are empty here and cannot lead to these any more. */
static void fork_child(void)
{
    for (struct attachment *a = attachments; a != NULL; a = a->next)
        if (socket_is_ours(a, a->socket_fd))
            close(a->socket_fd);
    attachments = NULL;
    atomic_store_explicit(&connecting, 0, memory_order_relaxed);
    atomic_store_explicit(&forking, false, memory_order_relaxed);
    pthread_mutex_unlock(&attach_mutex);
}

static void register_fork_handlers(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static enum segment_grade grade_of(uint32_t kind)
{
    if (kind == RINGD_CONTEXT_WRITER)
        return SEGMENT_WRITER;
    return kind == RINGD_CONTEXT_OBSERVER ? SEGMENT_OBSERVER : SEGMENT_READER;
}

static int map_life(struct attachment *a, int fd)
{
    void *life = mmap(NULL, RINGD_LIFE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

    if (life == MAP_FAILED)
        return -errno;
    a->life = life;
    STOP_POINT("attach-life-mapped");
    if (madvise(life, RINGD_LIFE_BYTES, MADV_DONTFORK) != 0 || madvise(life, RINGD_LIFE_BYTES, MADV_DONTDUMP) != 0)
        return -errno;
    return 0;
}

/* With attach_mutex held: from the arrival of the descriptors to the last madvise no fork may come in between. */
static int receive_and_map(struct attachment *a, uint32_t kind, struct proto_reply *reply)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS];
    int result = proto_receive(a->socket_fd, RINGD_REQUEST_ATTACH, reply, descriptors);

    if (result < 0)
        return result;
    STOP_POINT("attach-received");
    if (reply->head.result == 0 && (descriptors[0] < 0 || descriptors[1] < 0 || descriptors[2] < 0))
        result = -EBADMSG;
    if (reply->head.result == 0 && result == 0)
        result = map_life(a, descriptors[2]);
    if (reply->head.result == 0 && result == 0)
        result = segment_map(&a->segment, descriptors[0], descriptors[1], grade_of(kind));
    STOP_POINT("attach-mapped");
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    STOP_POINT("attach-closed");
    return result;
}

/* From its first moment to its last a connection is in the list, for a child to close. */
static int open_connection(struct attachment *a)
{
    pthread_mutex_lock(&attach_mutex);
    remember_socket(a, proto_socket());
    a->next = attachments;
    attachments = a;
    pthread_mutex_unlock(&attach_mutex);
    return a->socket_fd < 0 ? a->socket_fd : 0;
}

static void close_connection(struct attachment *a)
{
    pthread_mutex_lock(&attach_mutex);
    for (struct attachment **link = &attachments; *link != NULL; link = &(*link)->next) {
        if (*link == a) {
            *link = a->next;
            break;
        }
    }
    if (socket_is_ours(a, a->socket_fd))
        close(a->socket_fd);
    pthread_mutex_unlock(&attach_mutex);
}

static int check_place(const struct attachment *a, const struct attachment_wish *wish)
{
    bool writer = wish->kind == RINGD_CONTEXT_WRITER;
    uint32_t slots = writer ? RINGD_WRITERS_PER_LANE * a->segment.geometry.lane_count : RINGD_READERS_MAX;
    bool lane_fits = writer ? wish->lane == 0 || a->slot / RINGD_WRITERS_PER_LANE == wish->lane - 1
                            : a->lane == wish->lane && wish->lane <= a->segment.geometry.lane_count;

    /* Others find their start themselves. */
    bool start_fits = wish->kind != RINGD_CONTEXT_LOSSLESS || a->position % RINGD_UNIT == 0;
    bool label_fits = a->label_plus <= (wish->group ? RINGD_GROUPS_MAX : RINGD_NAMED_MAX) && a->seat < RINGD_SEATS_MAX;

    return a->slot < slots && lane_fits && start_fits && label_fits ? 0 : -EBADMSG;
}

/* A life page without a token is a daemon's that takes nobody back. */
static void prepare_reattach(struct attachment *a, const struct ringd *ring, uint32_t kind)
{
    const struct ringd_life *life = a->life;

    memcpy(a->socket_path, ring->socket_path, sizeof a->socket_path);
    proto_request_init(&a->reattach, RINGD_REQUEST_REATTACH, ring->name);
    a->reattach.kind = kind;
    a->reattach.slot = a->slot;
    a->reattach.incarnation = a->incarnation;
    a->reattach.token = life->magic == RINGD_LIFE_MAGIC ? life->token : 0;
}

static void wish_request(struct ringd_request *request, const struct ringd *ring, const struct attachment_wish *wish)
{
    proto_request_init(request, RINGD_REQUEST_ATTACH, ring->name);
    request->kind = wish->kind;
    request->start = wish->start;
    request->position = wish->position;
    request->lane = wish->lane;
    if (wish->label != NULL)
        memcpy(request->label, wish->label, strlen(wish->label) + 1);
    request->group = wish->group;
    request->orphans = wish->orphans;
}

static int attach(struct attachment *a, const struct ringd *ring, const struct attachment_wish *wish)
{
    struct ringd_request request;
    struct proto_reply reply;
    int result = wish->label != NULL ? check_label(wish->label) : 0;

    if (result < 0)
        return result;
    wish_request(&request, ring, wish);
    result = open_connection(a);
    if (result == 0)
        result = proto_connect(a->socket_fd, ring->socket_path);
    if (result == 0)
        result = proto_send(a->socket_fd, &request);
    if (result == 0) {
        STOP_POINT("attach-asked");
        result = proto_wait(a->socket_fd, PROTO_TIMEOUT_MS);
    }
    if (result == 0) {
        pthread_mutex_lock(&attach_mutex);
        result = receive_and_map(a, wish->kind, &reply);
        pthread_mutex_unlock(&attach_mutex);
    }
    result = explain(result, &reply.head, ring->socket_path);
    if (result < 0)
        return result;
    a->connected = true;
    a->slot = reply.head.slot;
    a->incarnation = reply.head.incarnation;
    a->position = reply.head.position;
    a->label_plus = wish->label != NULL ? reply.head.label_plus : 0;
    a->seat = wish->group ? reply.head.seat : 0;
    a->lane = wish->group ? 0 : reply.head.lane;
    if (check_place(a, wish) < 0)
        return client_fail(-EBADMSG, "ringd gave '%s' a place that is none", ring->name);
    prepare_reattach(a, ring, wish->kind);
    return 0;
}

int attachment_new(struct attachment **attachment, const struct ringd *ring, const struct attachment_wish *wish)
{
    struct attachment *a = calloc(1, sizeof *a);
    int result;

    error_text[0] = '\0';
    *attachment = NULL;
    if (a == NULL)
        return client_fail(-ENOMEM, "no memory to attach to '%s'", ring->name);
    pthread_once(&attach_once, register_fork_handlers);
    result = attach(a, ring, wish);
    if (result < 0) {
        attachment_free(a);
        return result;
    }
    *attachment = a;
    return 0;
}

void attachment_free(struct attachment *attachment)
{
    if (attachment == NULL)
        return;
    segment_unmap(&attachment->segment);
    STOP_POINT("detach-unmapped");
    if (attachment->life != NULL)
        munmap(attachment->life, RINGD_LIFE_BYTES);
    STOP_POINT("detach-life-unmapped");
    close_connection(attachment);
    STOP_POINT("detach-closed");
    free(attachment);
}

/* ---- asking on the context's own connection: async-signal-safe calls only ---------------------------------------- */

static void drop_connection(struct attachment *a)
{
    int fd = atomic_exchange_explicit(&a->socket_fd, -1, memory_order_seq_cst);

    if (socket_is_ours(a, fd))
        close(fd);
    a->connected = false;
    a->pending = 0;
}

/* Before anything is sent, received or waited for: the program may have closed the connection under us. */
static void check_connection(struct attachment *a)
{
    if (!socket_is_ours(a, a->socket_fd))
        drop_connection(a);
}

/* Takes the reply to an earlier request off the connection, if one is still to come. 0: nothing is outstanding;
 * -EAGAIN: it has not come yet; anything else: the connection is of no use. */
static int take_late_reply(struct attachment *a)
{
    struct proto_reply reply;
    int result = 0;

    check_connection(a);
    if (a->pending != 0)
        result = proto_receive(a->socket_fd, a->pending, &reply, NULL);
    if (result == -EAGAIN)
        return result;
    if (result == 0 && a->pending == RINGD_REQUEST_REATTACH) {
        result = reply.head.result;
        a->connected = result == 0;
    }
    a->pending = 0;
    return result;
}

static int send_request(struct attachment *a, const struct ringd_request *request)
{
    int result = proto_send(a->socket_fd, request);

    if (result == 0)
        a->pending = request->type;
    return result;
}

/* So that a child always knows of the socket; see `connecting`. Never waits: neither connecting nor sending. */
static int open_socket(struct attachment *a)
{
    int result = -EAGAIN;

    atomic_fetch_add_explicit(&connecting, 1, memory_order_seq_cst);
    if (!atomic_load_explicit(&forking, memory_order_seq_cst)) {
        result = proto_socket_no_wait();
        if (result >= 0)
            remember_socket(a, result);
    }
    atomic_fetch_sub_explicit(&connecting, 1, memory_order_seq_cst);
    return result < 0 ? result : 0;
}

/* Waits for the answer a moment; one that comes later is taken by the next request. */
static int connect_again(struct attachment *a)
{
    int64_t now = wake_now();
    int result;

    drop_connection(a);
    if (now < a->retry_ns || a->reattach.token == 0)
        return -ENOTCONN;
    a->retry_ns = now + RETRY_NS;
    result = open_socket(a);
    if (result == 0)
        result = proto_connect(a->socket_fd, a->socket_path);
    if (result == 0)
        result = send_request(a, &a->reattach);
    if (result == 0)
        result = proto_wait(a->socket_fd, ARM_TIMEOUT_MS);
    if (result == -ETIMEDOUT && a->pending != 0)
        return result;
    if (result == 0)
        result = take_late_reply(a);
    if (result < 0)
        drop_connection(a);
    return result;
}

/* Sends a request on a connection of which nothing is outstanding. One that has ended is replaced, once. */
static int send_question(struct attachment *a, const struct ringd_request *request)
{
    int result = take_late_reply(a);

    if (result == -EAGAIN)
        return result;
    result = result == 0 && a->connected ? send_request(a, request) : -ENOTCONN;
    if (result == 0)
        return 0;
    result = connect_again(a);
    return result == 0 ? send_request(a, request) : result;
}

static int send_alone(struct attachment *a, uint16_t type, uint64_t position)
{
    struct ringd_request request;

    proto_request_init(&request, type, "");
    request.position = position;
    return send_question(a, &request);
}

/* The daemon may have ended with the request unanswered, or before it: then it has been sent into nothing. */
static int await_reply(struct attachment *a, struct proto_reply *reply)
{
    uint16_t type = a->pending;
    int result = proto_wait(a->socket_fd, ARM_TIMEOUT_MS);

    if (result < 0)
        return result;
    a->pending = 0;
    result = proto_receive(a->socket_fd, type, reply, NULL);
    if (result < 0)
        drop_connection(a);
    return result == 0 ? reply->head.result : result;
}

static int ask_alone(struct attachment *a, uint16_t type, struct proto_reply *reply)
{
    int result = send_alone(a, type, 0);

    return result == 0 ? await_reply(a, reply) : result;
}

int attachment_arm(struct attachment *attachment, uint32_t *value)
{
    struct proto_reply reply;
    int result = ask_alone(attachment, RINGD_REQUEST_ARM, &reply);

    if (result == -ECONNRESET) /* it has just gone: its successor may be there already */
        result = ask_alone(attachment, RINGD_REQUEST_ARM, &reply);
    *value = result == 0 ? reply.head.value : 0;
    return result;
}

void attachment_report_cursor(struct attachment *attachment, uint64_t needed)
{
    send_alone(attachment, RINGD_REQUEST_CHECK, needed);
}

/* Waits for no answer. */
static void report_stall(void *argument)
{
    send_alone(argument, RINGD_REQUEST_STALLED, 0);
}

/* A quarter of the time that a stopped writer has is waited here, the daemon's own look takes the rest. */
struct ring_watch attachment_watch(struct attachment *attachment)
{
    uint32_t after_ms = attachment != NULL ? attachment->segment.geometry.stopped_after_ms : 0;

    if (attachment == NULL)
        return (struct ring_watch){0};
    return (struct ring_watch){
        .after_ns = (after_ms != 0 ? after_ms : STALLED_DEFAULT_MS) * (NS_PER_MS / 4),
        .report = report_stall,
        .argument = attachment,
    };
}

/* ---- following a ring that moves: async-signal-safe calls only --------------------------------------------------- */

/* The next generation is the same ring: what a handle has copied from the geometry stays true. */
static bool continues(const struct geometry *next, const struct geometry *before)
{
    return next->ring_id == before->ring_id && next->generation > before->generation &&
           next->lane_count == before->lane_count && next->max_record == before->max_record &&
           next->policy == before->policy && next->time_source == before->time_source && next->hold == before->hold &&
           next->single == before->single;
}

/* The answer to what is pending, with what of the next generation comes along: all of it, or the readers' object. No
 * life page does, so a fork in between does no harm; it waits a moment all the same, see `connecting`. */
static int receive_next(struct attachment *a, uint32_t kind, struct segment *next)
{
    int descriptors[RINGD_PROTO_DESCRIPTORS] = {-1, -1, -1}, result;
    bool all = a->pending == RINGD_REQUEST_FOLLOW;
    uint16_t type = a->pending;
    struct proto_reply reply;

    atomic_fetch_add_explicit(&connecting, 1, memory_order_seq_cst);
    a->pending = 0;
    result = proto_receive(a->socket_fd, type, &reply, descriptors);
    if (result == 0 && reply.head.result == 0 && (descriptors[0] < 0 || (all && descriptors[1] < 0)))
        result = -EBADMSG;
    if (result == 0)
        result = reply.head.result <= 0 ? reply.head.result : -EBADMSG;
    if (result == 0)
        result = all ? segment_map(next, descriptors[0], descriptors[1], grade_of(kind))
                     : segment_map_readers(next, &a->segment.geometry, descriptors[0]);
    for (size_t i = 0; i < RINGD_PROTO_DESCRIPTORS; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    }
    atomic_fetch_sub_explicit(&connecting, 1, memory_order_seq_cst);
    return result;
}

/* Milliseconds to the deadline, rounded up; PROTO_TIMEOUT_MS at most. */
static int timeout_until(int64_t deadline)
{
    int64_t left_ms = deadline / NS_PER_MS - wake_now() / NS_PER_MS + 1;

    if (left_ms > PROTO_TIMEOUT_MS)
        return PROTO_TIMEOUT_MS;
    return left_ms > 0 ? (int)left_ms : 0;
}

static bool ring_is_removed(const struct segment *segment)
{
    return atomic_load_explicit(&segment->control->state, memory_order_seq_cst) == RINGD_RING_REMOVED;
}

/* Waits for the answer to whatever was asked before, asks if it was something else, and waits again. */
static int ask_for_next(struct attachment *a, int64_t deadline)
{
    struct ringd_request request;
    int result;

    check_connection(a);
    if (a->pending != 0 && a->pending != RINGD_REQUEST_FOLLOW) {
        result = proto_wait(a->socket_fd, timeout_until(deadline));
        if (result < 0)
            return result;
    }
    if (a->pending != RINGD_REQUEST_FOLLOW) {
        proto_request_init(&request, RINGD_REQUEST_FOLLOW, "");
        request.position = a->segment.geometry.generation;
        result = send_question(a, &request);
        if (result < 0)
            return result;
        STOP_POINT("follow-asked");
    }
    return proto_wait(a->socket_fd, timeout_until(deadline));
}

/* The daemon has gone, or has just come back and does not know of us yet. False: the deadline has passed. */
static bool wait_for_daemon(int64_t deadline)
{
    struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_NS};

    if (wake_now() >= deadline)
        return false;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    return true;
}

static bool daemon_is_away(int result)
{
    return result == -ENOTCONN || result == -ECONNREFUSED || result == -ECONNRESET || result == -EPIPE ||
           result == -EAGAIN || result == -EBUSY; /* or it has not noticed yet that the connection has ended */
}

int attachment_follow(struct attachment *a, uint32_t kind, int64_t deadline, struct segment *old)
{
    struct segment next = {0};
    int result;

    do {
        result = ask_for_next(a, deadline);
        if (result == 0)
            result = receive_next(a, kind, &next);
        if (result == -ECONNRESET)
            drop_connection(a);
    } while ((daemon_is_away(result) || result == -ETIMEDOUT) && !ring_is_removed(&a->segment) &&
             wait_for_daemon(deadline));
    if (result == -ETIMEDOUT || daemon_is_away(result))
        return ring_is_removed(&a->segment) ? -ESHUTDOWN : RINGD_WOULD_BLOCK;
    if (result == 0 && !continues(&next.geometry, &a->segment.geometry))
        result = -EBADMSG;
    if (result < 0) {
        segment_unmap(&next);
        return result == -ESTALE ? -ESHUTDOWN : result == -EALREADY ? -EBADMSG : result;
    }
    STOP_POINT("follow-mapped");
    *old = a->segment;
    a->segment = next;
    return RINGD_OK;
}

int attachment_look_ahead(struct attachment *a, struct segment *ahead)
{
    int result = send_alone(a, RINGD_REQUEST_AHEAD, a->segment.geometry.generation);

    *ahead = (struct segment){0};
    if (result == 0) {
        STOP_POINT("ahead-asked");
        result = proto_wait(a->socket_fd, AHEAD_TIMEOUT_MS);
    }
    if (result == 0)
        result = receive_next(a, RINGD_CONTEXT_LOSSLESS, ahead);
    if (result == -ECONNRESET)
        drop_connection(a);
    return result;
}

/* ---- handles --------------------------------------------------------------------------------------------------- */

void *handle_new(size_t bytes)
{
    void *handle = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (handle == MAP_FAILED)
        return NULL;
    if (madvise(handle, bytes, MADV_WIPEONFORK) != 0) {
        munmap(handle, bytes);
        return NULL;
    }
    return handle;
}

void handle_free(void *handle, size_t bytes)
{
    munmap(handle, bytes);
}
