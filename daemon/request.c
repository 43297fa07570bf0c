/* request.c - see request.h. One function for each type of request, in the order of enum ringd_request_type. */
#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <string.h>

#include "context.h"
#include "daemon.h"
#include "generation.h"
#include "groups.h"
#include "log.h"
#include "named.h"
#include "peer.h"
#include "ring_options.h"
#include "slow_readers.h"
#include "stall.h"
#include "status.h"
#include "wake.h"

/* ---- finding and permitting ------------------------------------------------------------------------------------ */

static int find_ring(const struct peer *peer, const char *name, struct shared_ring **ring, struct problem *problem)
{
    int result = ring_name_check(name, problem);

    if (result < 0)
        return result;
    *ring = registry_find(&peer->daemon->registry, name);
    if (*ring == NULL)
        return problem_say(problem, -ENOENT,
                           "there is no ring \"%s\"; `ringctl list` shows those there are, `ringctl create` makes one",
                           name);
    return 0;
}

static bool may(const struct peer *peer, const struct shared_ring *ring, unsigned rights)
{
    return (rights_granted(&ring->rights, &peer->credentials) & rights) == rights;
}

static int permit(const struct peer *peer, const struct shared_ring *ring, unsigned rights, const char *action,
                  struct problem *problem)
{
    if (may(peer, ring, rights))
        return 0;
    return problem_say(
        problem, -EACCES, "uid %u may not %s ring \"%s\": its mode is 0%o, its owner uid %u, its group gid %u",
        peer->credentials.uid, action, ring->name, ring->rights.mode, ring->rights.owner, ring->rights.group);
}

/* ---- create, remove -------------------------------------------------------------------------------------------- */

static int handle_create(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    const struct credentials *credentials = &peer->credentials;
    struct ring_rights rights = {.owner = credentials->uid, .group = credentials->gid};

    if (!creators_allow(peer->daemon->creators, credentials))
        return problem_say(problem, -EPERM,
                           "uid %u may not make rings; root and this ringd's user may, and who is named by `create` in "
                           "its configuration",
                           credentials->uid);
    answer->later = true;
    return registry_create(&peer->daemon->registry, request->ring, &request->options, &rights, &peer->later, problem);
}

static int handle_remove(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    struct shared_ring *ring;
    int result = find_ring(peer, request->ring, &ring, problem);

    (void)answer;
    if (result < 0)
        return result;
    if (!rights_own(&ring->rights, &peer->credentials))
        return problem_say(problem, -EPERM, "uid %u may not remove ring \"%s\"; its owner (uid %u) may, and root",
                           peer->credentials.uid, ring->name, ring->rights.owner);
    registry_remove(&peer->daemon->registry, ring);
    return 0;
}

/* ---- list, status, open ---------------------------------------------------------------------------------------- */

static int handle_list(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                       struct problem *problem)
{
    struct ringd_reply *reply = &answer->reply;
    const struct shared_ring *ring;

    (void)problem;
    TAILQ_FOREACH(ring, &peer->daemon->registry.rings, link)
    {
        if (!may(peer, ring, RIGHT_READ) && !may(peer, ring, RIGHT_WRITE))
            continue;
        if (reply->total >= request->first && reply->count < RINGD_PROTO_INFOS)
            status_of_ring(ring, &answer->infos[reply->count++]);
        reply->total++;
    }
    return 0;
}

/* The ring that is asked about comes first in the answer. */
static int look_at(const struct peer *peer, const struct ringd_request *request, struct shared_ring **ring,
                   struct answer *answer, struct problem *problem)
{
    int result = find_ring(peer, request->ring, ring, problem);

    if (result == 0)
        result = permit(peer, *ring, RIGHT_READ, "look at", problem);
    if (result < 0)
        return result;
    status_of_ring(*ring, &answer->infos[0]);
    answer->reply.count = 1;
    return 0;
}

static int handle_status(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    struct ringd_reply *reply = &answer->reply;
    struct shared_ring *ring;
    int result = look_at(peer, request, &ring, answer, problem);

    if (result < 0)
        return result;
    reply->contexts = status_of_contexts(ring, request->first, answer->contexts, RINGD_PROTO_CONTEXTS, &reply->total);
    return 0;
}

static int handle_open(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                       struct problem *problem)
{
    struct shared_ring *ring;
    int result = find_ring(peer, request->ring, &ring, problem);

    if (result < 0)
        return result;
    if (!may(peer, ring, RIGHT_WRITE))
        result = permit(peer, ring, RIGHT_READ, "read or write", problem);
    if (result < 0)
        return result;
    status_of_ring(ring, &answer->infos[0]);
    answer->reply.count = 1;
    return 0;
}

/* ---- attach ---------------------------------------------------------------------------------------------------- */

static bool has_cursor(const struct ringd_request *request)
{
    return request->label[0] != '\0' && request->group == 0;
}

static int check_cursor_name(const struct ringd_request *request, struct problem *problem)
{
    if (memchr(request->label, '\0', sizeof request->label) == NULL)
        return problem_say(problem, -EINVAL, "the named cursor's name has no end; it may have 1 to %zu characters",
                           sizeof request->label - 1);
    return label_check("named cursor", request->label, problem);
}

static int check_cursor(const struct ringd_request *request, struct problem *problem)
{
    if (!has_cursor(request))
        return 0;
    if (request->kind != RINGD_CONTEXT_LOSSLESS && request->kind != RINGD_CONTEXT_LOSSY)
        return problem_say(problem, -EINVAL, "only a lossless or lossy reader can have a named cursor");
    return check_cursor_name(request, problem);
}

static int check_start(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem)
{
    const struct geometry *g = &ring->segment.geometry;

    if (request->start > RINGD_START_TIME)
        return problem_say(problem, -EINVAL,
                           "start %u is unknown; a reader starts now (%d), at the oldest record (%d), at a position "
                           "(%d) or at a time (%d)",
                           request->start, RINGD_START_NOW, RINGD_START_OLDEST, RINGD_START_POSITION, RINGD_START_TIME);
    if (request->start == RINGD_START_POSITION && g->lane_count > 1 && request->lane == 0)
        return problem_say(
            problem, -EOPNOTSUPP,
            "ring \"%s\" has %u lanes, and a position is one in a single lane; start now, at the oldest record or at a "
            "time%s",
            ring->name, g->lane_count,
            request->group != 0 ? "" : ", read only that lane, or go on under the name of a cursor");
    if (request->start == RINGD_START_TIME && g->time_source == RINGD_TIME_NONE)
        return problem_say(problem, -EOPNOTSUPP,
                           "the records of ring \"%s\" have no time to start at; start now or at the oldest record, or "
                           "make the ring with a time (ringctl create --time monotonic)",
                           ring->name);
    return check_cursor(request, problem);
}

static int check_lane(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem)
{
    uint32_t lane_count = ring->segment.geometry.lane_count;

    if (request->lane <= lane_count)
        return 0;
    if (lane_count == 1)
        return problem_say(problem, -EINVAL, "ring \"%s\" has no lane %u; it has one, lane 1", ring->name,
                           request->lane);
    return problem_say(problem, -EINVAL, "ring \"%s\" has no lane %u; it has %u, give one from 1 to %u, or none for %s",
                       ring->name, request->lane, lane_count, lane_count,
                       request->kind == RINGD_CONTEXT_WRITER ? "the one with the fewest writers" : "all of them");
}

static int check_place(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem)
{
    int result = check_lane(ring, request, problem);

    if (result < 0 || request->kind == RINGD_CONTEXT_WRITER)
        return result;
    if (request->group != 0 && request->lane != 0)
        return problem_say(problem, -EINVAL,
                           "a reader of one lane cannot be of a group: the members share all lanes of ring \"%s\"",
                           ring->name);
    return check_start(ring, request, problem);
}

static int check_wish(const struct shared_ring *ring, const struct ringd_request *request, struct problem *problem)
{
    int result;

    if (request->kind < RINGD_CONTEXT_WRITER || request->kind > RINGD_CONTEXT_OBSERVER)
        return problem_say(problem, -EINVAL, "context kind %u is unknown to this ringd", request->kind);
    result = check_place(ring, request, problem);
    if (result < 0)
        return result;
    if (request->kind == RINGD_CONTEXT_LOSSLESS && ring->segment.geometry.policy == RINGD_OVERWRITE)
        return problem_say(problem, -EOPNOTSUPP,
                           "ring \"%s\" overwrites: it has no lossless readers%s; read it lossy or as an observer",
                           ring->name, request->group != 0 ? " and no groups" : "");
    return request->group == 0 ? 0 : groups_check(ring, request, problem);
}

static int permit_wish(const struct peer *peer, const struct shared_ring *ring, uint32_t kind, struct problem *problem)
{
    if (kind == RINGD_CONTEXT_WRITER)
        return permit(peer, ring, RIGHT_WRITE, "write to", problem);
    if (kind == RINGD_CONTEXT_LOSSLESS)
        return permit(peer, ring, RIGHT_READ | RIGHT_LOSSLESS, "read losslessly from", problem);
    return permit(peer, ring, RIGHT_READ, "read", problem);
}

/* The grades: writers write both objects, readers the readers' object, observers nothing. */
static void add_objects(struct answer *answer, const struct segment_objects *objects, uint32_t kind)
{
    answer->descriptors[0] = kind == RINGD_CONTEXT_WRITER ? objects->segment.fd : objects->segment.read_fd;
    answer->descriptors[1] = kind == RINGD_CONTEXT_OBSERVER ? objects->readers.read_fd : objects->readers.fd;
    answer->descriptor_count = 2;
}

static void add_life(struct answer *answer, int life_fd)
{
    answer->descriptors[answer->descriptor_count++] = life_fd;
    answer->life_fd = life_fd;
}

static int attach(struct peer *peer, struct shared_ring *ring, const struct ringd_request *request,
                  struct answer *answer, struct problem *problem)
{
    struct context_wish wish = {
        .kind = request->kind,
        .start = request->start,
        .position = request->position,
        .lane = request->lane,
        .group = request->group != 0 ? request->label : NULL,
        .orphans = request->orphans,
        .cursor = has_cursor(request) ? request->label : NULL,
    };
    struct attached attached;
    int result;

    if (wish.start == RINGD_START_TIME) /* its library looks for the record */
        wish.start = RINGD_START_OLDEST;
    result = context_attach(ring, &wish, &peer->credentials, &peer->context, &attached, problem);
    if (result < 0)
        return result;
    answer->reply.slot = attached.context->slot;
    answer->reply.incarnation = attached.context->incarnation;
    answer->reply.position = attached.position;
    answer->reply.label_plus = attached.named_plus;
    answer->reply.lane = attached.context->lane;
    if (attached.context->member) {
        answer->reply.label_plus = attached.context->group + 1;
        answer->reply.seat = attached.context->seat;
    }
    add_objects(answer, generation_objects(ring, attached.context->generation), request->kind);
    add_life(answer, attached.life_fd);
    return 0;
}

static int handle_attach(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    struct shared_ring *ring;
    int result = find_ring(peer, request->ring, &ring, problem);

    if (result == 0 && peer->context != NULL)
        result = problem_say(problem, -EISCONN, "this connection belongs to a context already; open another");
    if (result == 0)
        result = check_wish(ring, request, problem);
    if (result == 0)
        result = permit_wish(peer, ring, request->kind, problem);
    return result < 0 ? result : attach(peer, ring, request, answer, problem);
}

/* ---- arm, check ------------------------------------------------------------------------------------------------ */

static int handle_arm(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                      struct problem *problem)
{
    const struct context *context = peer->context;

    (void)request;
    if (context == NULL || context->kind != RINGD_CONTEXT_OBSERVER)
        return problem_say(problem, -EINVAL, "only the connection of an attached observer can announce its sleep");
    answer->reply.value = wake_announce(&generation_of(context)->readers->waits.data);
    if (context->ring->segment.geometry.single && !wake_barrier()) /* Y2 */
        return problem_say(problem, -EOPNOTSUPP, "the kernel runs no barriers for this ringd; look from time to time");
    return 0;
}

static int handle_check(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                        struct problem *problem)
{
    struct context *context = peer->context;

    if (context == NULL || !context_is_writer(context))
        return problem_say(problem, -EINVAL, "only the connection of an attached writer can have readers checked");
    answer->reply.value = context_evict_bad(context->ring) + slow_readers_check(context, request->position);
    return 0;
}

/* ---- stalled ---------------------------------------------------------------------------------------------------- */

static int handle_stalled(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                          struct problem *problem)
{
    (void)request;
    (void)answer;
    if (peer->context == NULL)
        return problem_say(problem, -EINVAL, "only the connection of an attached context can report a stalled writer");
    return stall_report(peer->context->ring) < 0 ? problem_say(problem, -ENOMEM, "out of memory") : 0;
}

/* ---- resize, follow --------------------------------------------------------------------------------------------- */

static int handle_resize(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    struct shared_ring *ring;
    int result = find_ring(peer, request->ring, &ring, problem);

    if (result < 0)
        return result;
    if (!rights_own(&ring->rights, &peer->credentials))
        return problem_say(problem, -EPERM, "uid %u may not resize ring \"%s\"; its owner (uid %u) may, and root",
                           peer->credentials.uid, ring->name, ring->rights.owner);
    answer->later = true;
    return generation_move(ring, request->options.size, &peer->later, problem);
}

static int handle_follow(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    const struct segment_objects *objects;
    int result;

    if (peer->context == NULL)
        return problem_say(problem, -EINVAL, "only the connection of an attached context can follow a ring that moves");
    result = generation_follow(peer->context, request->position, problem, &objects);
    if (result < 0)
        return result;
    add_objects(answer, objects, peer->context->kind);
    answer->reply.position = peer->context->generation;
    return 0;
}

/* It goes on reading the generation it has, and keeps it. */
static int handle_ahead(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                        struct problem *problem)
{
    const struct context *context = peer->context;

    if (context == NULL || context->kind != RINGD_CONTEXT_LOSSLESS)
        return problem_say(problem, -EINVAL, "only the connection of a lossless reader can look ahead");
    if (request->position != context->generation || request->position >= context->ring->segment.geometry.generation)
        return problem_say(problem, -EALREADY, "ring \"%s\" has nothing ahead of generation %ju for this reader",
                           context->ring->name, (uintmax_t)request->position);
    answer->descriptors[0] = generation_objects(context->ring, context->generation + 1)->readers.fd;
    answer->descriptor_count = 1;
    answer->reply.position = context->generation + 1;
    return 0;
}

/* ---- reattach -------------------------------------------------------------------------------------------------- */

/* A ring that was removed has no name any more, and may have contexts all the same. */
static struct shared_ring *find_ring_of(const struct peer *peer, const struct ringd_request *request)
{
    struct shared_ring *ring, *last = NULL;

    TAILQ_FOREACH(ring, &peer->daemon->registry.rings, link)
    {
        if (strcmp(ring->name, request->ring) != 0)
            continue;
        last = ring;
        if (context_is_attached(ring, request->kind, request->slot, request->incarnation, request->token))
            return ring;
    }
    return last;
}

static int handle_reattach(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                           struct problem *problem)
{
    struct shared_ring *ring = find_ring_of(peer, request);

    (void)answer;
    if (peer->context != NULL)
        return problem_say(problem, -EISCONN, "this connection belongs to a context already; open another");
    if (ring == NULL)
        return problem_say(problem, -ESTALE, "this ringd knows no ring of that name");
    return context_reattach(ring, request->kind, request->slot, request->incarnation, request->token,
                            &peer->credentials, &peer->context, problem);
}

/* ---- cursors, forget -------------------------------------------------------------------------------------------- */

static int handle_cursors(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                          struct problem *problem)
{
    struct ringd_reply *reply = &answer->reply;
    struct shared_ring *ring;
    int result = look_at(peer, request, &ring, answer, problem);

    if (result < 0)
        return result;
    reply->contexts = status_of_named(ring, request->first, answer->contexts, RINGD_PROTO_CONTEXTS, &reply->total);
    return 0;
}

/* Who may read may go on under any name, to the end of what is there; so he may also end it. */
static int handle_forget(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                         struct problem *problem)
{
    struct shared_ring *ring;
    int result = find_ring(peer, request->ring, &ring, problem);

    (void)answer;
    if (result == 0)
        result = check_cursor_name(request, problem);
    if (result == 0)
        result = permit(peer, ring, RIGHT_READ, "forget a named cursor of", problem);
    if (result == 0)
        result = named_forget(ring, request->label, problem);
    if (result == 0)
        log_info("ring %s: named cursor %s is forgotten, as uid %u asked", ring->name, request->label,
                 peer->credentials.uid);
    return result;
}

/* ---- any ------------------------------------------------------------------------------------------------------- */

typedef int handler(struct peer *peer, const struct ringd_request *request, struct answer *answer,
                    struct problem *problem);

static handler *const handlers[] = {
    [RINGD_REQUEST_CREATE] = handle_create,     [RINGD_REQUEST_REMOVE] = handle_remove,
    [RINGD_REQUEST_LIST] = handle_list,         [RINGD_REQUEST_STATUS] = handle_status,
    [RINGD_REQUEST_OPEN] = handle_open,         [RINGD_REQUEST_ATTACH] = handle_attach,
    [RINGD_REQUEST_ARM] = handle_arm,           [RINGD_REQUEST_CHECK] = handle_check,
    [RINGD_REQUEST_REATTACH] = handle_reattach, [RINGD_REQUEST_STALLED] = handle_stalled,
    [RINGD_REQUEST_RESIZE] = handle_resize,     [RINGD_REQUEST_FOLLOW] = handle_follow,
    [RINGD_REQUEST_CURSORS] = handle_cursors,   [RINGD_REQUEST_FORGET] = handle_forget,
    [RINGD_REQUEST_AHEAD] = handle_ahead,
};

/* Whether it is a request of this protocol at all. */
static int check_packet(const struct ringd_request *request, size_t len, bool descriptors, struct problem *problem)
{
    if (len != sizeof *request)
        return problem_say(problem, -EPROTO,
                           "a request has %zu bytes, this packet has %zu; client and ringd do not fit", sizeof *request,
                           len);
    if (request->magic != RINGD_PROTO_MAGIC)
        return problem_say(problem, -EPROTO, "this is no request to ringd (magic %#x, not %#x)", request->magic,
                           RINGD_PROTO_MAGIC);
    if (request->version != RINGD_PROTO_VERSION)
        return problem_say(problem, -EPROTONOSUPPORT,
                           "this ringd speaks version %u of its protocol, the client version %u; use the libringd that "
                           "came with it",
                           RINGD_PROTO_VERSION, request->version);
    if (descriptors)
        return problem_say(problem, -EPROTO, "a request carries no descriptors");
    return 0;
}

static int check_request(const struct ringd_request *request, struct problem *problem)
{
    if (request->type >= sizeof handlers / sizeof handlers[0] || handlers[request->type] == NULL)
        return problem_say(problem, -EINVAL, "request type %u is unknown to this ringd", request->type);
    if (memchr(request->ring, '\0', sizeof request->ring) == NULL)
        return problem_say(problem, -EINVAL, "the ring's name has no end; it may have 1 to %zu characters",
                           sizeof request->ring - 1);
    return 0;
}

int request_handle(struct peer *peer, const struct ringd_request *request, size_t len, bool descriptors,
                   struct answer *answer)
{
    struct problem problem = {""};
    int malformed = check_packet(request, len, descriptors, &problem);
    int result = malformed;

    answer_init(answer, len >= offsetof(struct ringd_request, ring) ? request->type : 0);
    if (result == 0)
        result = check_request(request, &problem);
    if (result == 0)
        result = handlers[request->type](peer, request, answer, &problem);
    if (result < 0)
        answer_fail(answer, result, &problem);
    return malformed;
}
