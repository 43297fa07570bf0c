/* ringctl_leftovers.c - doctor's look at what a daemon has in /dev/shm, and has left there: whose it is, who is still
 * in it, and what the next ringd is going to do about it.
 *
 * Which daemon: that of the folder in which the socket is. The real path of the folder gives the id of the instance,
 * and the id the names (object_name.h). What becomes of each object is what daemon/takeover.h says; the same tests are
 * made here, in the same order, on copies.
 *
 * What holds true:
 *   - Nothing is changed, and nobody can notice: no file is opened for writing or mapped, and no lock is taken, not
 * even to see whether it is free, as that could keep a ringd from starting that looks just then. Who holds a record is
 *     told by /proc/locks (so a ringd in another pid namespace is not seen), who holds a life page by F_OFD_GETLK.
 *   - Everything that is found is input: only regular files of the daemon's user are opened, without following links or
 *     waiting, and no more of them is read than the forms have. The daemon's user is whoever owns its lock file, or
 * else the folder.
 *   - A number of a process is for people. That a ringd has ended is known from its lock.
 *
 * Called by ringctl_doctor.c when no ring is named.
 */
#define _GNU_SOURCE
#include "ringctl_leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "process.h"
#include "proto.h"
#include "record_page.h"
#include "segment.h"
#include "shared_file.h"

#define SHARED_DIRECTORY "/dev/shm"
#define WRITERS_MAX      (RINGD_LANES_MAX * RINGD_WRITERS_PER_LANE)

/* ---- what is found ---------------------------------------------------------------------------------------------- */

/* An object in /dev/shm that bears the instance's id. */
struct found {
    struct object_name name;
    struct object_parts parts; /* if `known` */
    bool known;                /* the name is one that ringd gives */
    bool of_ring;              /* belongs to the ring of its name, as far as that is known */
};

static int add_found(const char *file, void *argument)
{
    struct leftovers *left = argument;
    struct found *found;

    if (left->found_count == left->found_max) {
        size_t max = left->found_max * 2 + 64;

        found = reallocarray(left->found, max, sizeof *found);
        if (found == NULL)
            return -ENOMEM;
        left->found = found;
        left->found_max = max;
    }
    found = &left->found[left->found_count++];
    *found = (struct found){.name = object_name_of_file(file)};
    found->known = object_name_parse(&found->name, left->instance_id, &found->parts);
    return 0;
}

/* By ring, its record first; what has no name of ringd's comes last. */
static int compare_found(const void *first, const void *second)
{
    const struct found *a = first, *b = second;
    int by_ring = strcmp(a->parts.ring, b->parts.ring);

    if (a->known != b->known)
        return a->known ? -1 : 1;
    if (!a->known || (by_ring == 0 && a->parts.kind == b->parts.kind))
        return strcmp(a->name.text, b->name.text);
    return by_ring != 0 ? by_ring : (int)a->parts.kind - (int)b->parts.kind;
}

/* The real path, also of a folder that the next ringd has to make first. */
static int find_directory(struct leftovers *left)
{
    char folder[PATH_MAX], parent[PATH_MAX];
    const char *path = proto_socket_path(), *name = strrchr(path, '/');
    size_t len = name == NULL ? 0 : (size_t)(name - path);

    if (len >= sizeof folder)
        return -ENAMETOOLONG;
    snprintf(folder, sizeof folder, "%.*s", name == NULL ? 1 : (int)(len > 0 ? len : 1), name == NULL ? "." : path);
    if (realpath(folder, left->directory) != NULL)
        return 0;
    name = strrchr(folder, '/');
    snprintf(parent, sizeof parent, "%.*s", name == NULL ? 1 : (int)(name - folder) + 1, name == NULL ? "." : folder);
    if (errno != ENOENT || realpath(parent, left->directory) == NULL)
        return -errno;
    len = strlen(left->directory);
    if (len + strlen(folder) + 2 > sizeof left->directory)
        return -ENAMETOOLONG;
    snprintf(left->directory + len, sizeof left->directory - len, "%s%s", len > 1 ? "/" : "",
             name == NULL ? folder : name + 1);
    return 0;
}

/* Whoever may look at the daemon's files: its user, and root. */
static void find_user(struct leftovers *left)
{
    struct stat status;

    snprintf(left->lock_path, sizeof left->lock_path, "%s/" INSTANCE_LOCK_NAME, left->directory);
    left->locked_before = lstat(left->lock_path, &status) == 0 && S_ISREG(status.st_mode);
    if (left->locked_before || stat(left->directory, &status) == 0)
        left->user = status.st_uid;
    else
        left->user = geteuid();
    left->may_look = geteuid() == 0 || geteuid() == left->user;
}

int leftovers_find(struct leftovers *left)
{
    int result;

    *left = (struct leftovers){0};
    result = find_directory(left);
    if (result < 0)
        return result;
    find_user(left);
    object_name_instance(left->instance_id, left->directory);
    result = shared_file_each(object_name_prefix(left->instance_id).text, add_found, left);
    if (result == 0 && left->found_count > 0)
        qsort(left->found, left->found_count, sizeof *left->found, compare_found);
    return result;
}

void leftovers_deinit(struct leftovers *left)
{
    for (size_t i = 0; i < left->item_count; i++)
        free(left->items[i].contexts);
    free(left->items);
    free(left->found);
    *left = (struct leftovers){0};
}

/* ---- what is said ----------------------------------------------------------------------------------------------- */

static struct leftover *add_item(struct leftovers *left, enum leftover_kind kind, const char *name)
{
    struct leftover *item;

    if (left->item_count == left->item_max) {
        size_t max = left->item_max * 2 + 16;

        item = reallocarray(left->items, max, sizeof *item);
        if (item == NULL) {
            left->no_memory = true;
            return NULL;
        }
        left->items = item;
        left->item_max = max;
    }
    item = &left->items[left->item_count++];
    *item = (struct leftover){.kind = kind};
    snprintf(item->name, sizeof item->name, "%s", name);
    return item;
}

/* Appends to what is said; names come from outside. */
__attribute__((format(printf, 2, 3))) static void tell(struct leftover *item, const char *format, ...)
{
    size_t len = strlen(item->text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(item->text + len, sizeof item->text - len, format, arguments);
    va_end(arguments);
}

static void decide(struct leftover *item, enum verdict verdict, enum fate fate)
{
    static const char *const words[] = {
        [FATE_TAKEN_OVER] = "; the next ringd takes it over",
        [FATE_REMOVED] = "; the next ringd removes it",
        [FATE_LEFT_ALONE] = "; the next ringd leaves it alone",
        [FATE_OWNED] = "",
        [FATE_UNKNOWN] = "",
    };

    item->verdict = verdict;
    item->fate = fate;
    tell(item, "%s", words[fate]);
}

/* ---- who holds it ----------------------------------------------------------------------------------------------- */

/* "N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE ..." Some file systems show another device there than stat does; then
 * the pid has to be the one that stands in the file. */
static bool is_holder(const char *line, const struct stat *file, uint32_t said, uint32_t *pid)
{
    unsigned major_number, minor_number;
    unsigned long long inode;
    int holder;

    if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &holder, &major_number, &minor_number, &inode) != 4 ||
        inode != file->st_ino)
        return false;
    *pid = (uint32_t)holder;
    return *pid == said || (major(file->st_dev) == major_number && minor(file->st_dev) == minor_number);
}

enum held { HELD_NO, HELD, HELD_UNKNOWN };

static enum held who_holds(const struct stat *file, uint32_t said, uint32_t *pid)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256];
    enum held held = HELD_NO;

    if (locks == NULL)
        return HELD_UNKNOWN;
    while (held == HELD_NO && fgets(line, sizeof line, locks) != NULL) {
        if (is_holder(line, file, said, pid))
            held = HELD;
    }
    fclose(locks);
    return held;
}

static uint32_t read_lock_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[24] = "";

    if (fd < 0)
        return 0;
    if (pread(fd, text, sizeof text - 1, 0) < 0)
        text[0] = '\0';
    close(fd);
    return (uint32_t)strtoul(text, NULL, 10);
}

/* The lock of the runtime directory. */
static void explain_lock(struct leftovers *left, bool silent)
{
    struct leftover *item = add_item(left, LEFTOVER_LOCK, "ringd");
    struct stat status;
    enum held held = HELD_NO;

    if (item == NULL)
        return;
    if (left->locked_before && lstat(left->lock_path, &status) == 0) {
        item->pid = read_lock_file(left->lock_path);
        held = who_holds(&status, item->pid, &item->pid);
    }
    item->stopped = held == HELD && process_is_stopped(item->pid);
    if (held == HELD && item->stopped)
        tell(item, "ringd (pid %u) is stopped, and no other can start; kill -CONT %u lets it go on, kill -9 %u ends it",
             item->pid, item->pid, item->pid);
    else if (held == HELD)
        tell(item, "ringd (pid %u) runs, but does not answer at %s, and no other can start; end it (kill %u)",
             item->pid, proto_socket_path(), item->pid);
    else if (held == HELD_UNKNOWN)
        tell(item, "who holds locks cannot be told: /proc/locks cannot be read");
    else if (silent)
        tell(item, "somebody listens at %s and does not answer, and is no ringd that can be seen from here",
             proto_socket_path());
    else
        tell(item, "no ringd runs in %s", left->directory);
    decide(item, held == HELD_NO && !silent ? VERDICT_OK : VERDICT_WRONG, held == HELD ? FATE_OWNED : FATE_UNKNOWN);
}

/* ---- a ring: opening -------------------------------------------------------------------------------------------- */

/* The objects of one name, and what stands in its record. */
struct remains {
    struct leftovers *left;
    struct leftover *item;
    struct found *found; /* the record is the first */
    size_t count;
    struct record_page *page;
    struct ringd_segment_header header; /* if it is to be taken over */
    uint64_t words[RINGD_LANES_MAX];
    bool seen_writers[WRITERS_MAX], seen_readers[RINGD_READERS_MAX];
};

static int open_found(const struct leftovers *left, const struct object_name *name, struct stat *status)
{
    int fd = shared_file_open_of(name, O_RDONLY, left->user);

    if (fd >= 0 && fstat(fd, status) != 0) {
        close(fd);
        return -EIO;
    }
    return fd;
}

static bool read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
    return pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Its length, or a negative errno. */
static int64_t read_record(struct remains *remains, struct stat *status)
{
    int fd = open_found(remains->left, &remains->found->name, status);
    ssize_t len;

    if (fd < 0)
        return fd;
    len = pread(fd, remains->page, RECORD_PAGE_BYTES_MAX, 0);
    close(fd);
    return len < 0 ? -errno : status->st_size;
}

/* Present and as long as the record says: its descriptor; else why not. */
static int open_part(const struct remains *remains, const struct object_name *name, uint64_t bytes, const char **why)
{
    struct stat status;
    int fd = open_found(remains->left, name, &status);

    *why = fd == -ENOENT ? "gone" : fd == -EPERM ? "not ringd's" : fd < 0 ? strerror(-fd) : NULL;
    if (fd >= 0 && (uint64_t)status.st_size < bytes) {
        *why = "shorter than it was";
        close(fd);
        return -EBADMSG;
    }
    return fd;
}

/* ---- a ring: is it what its record says? ------------------------------------------------------------------------ */

static bool header_is_sound(const struct remains *remains, int segment_fd, int readers_fd)
{
    const struct ringd_segment_header *recorded = &remains->header;
    struct ringd_segment_header header;
    struct geometry geometry;
    uint64_t ring_id;

    return read_at(segment_fd, &header, sizeof header, 0) && memcmp(&header, recorded, sizeof header) == 0 &&
           segment_validate(&header, recorded->segment_bytes, recorded->readers_bytes, &geometry) == 0 &&
           geometry.lane_count == remains->page->lane_count &&
           read_at(readers_fd, &ring_id, sizeof ring_id, offsetof(struct ringd_readers_header, ring_id)) &&
           ring_id == geometry.ring_id;
}

static void read_lanes(struct remains *remains, int segment_fd)
{
    uint32_t moving = 0;

    for (uint32_t i = 0; i < remains->header.lane_count; i++) {
        if (!read_at(segment_fd, &remains->words[i], sizeof remains->words[i],
                     RINGD_LANES_OFFSET + i * sizeof(struct ringd_lane) + offsetof(struct ringd_lane, word)))
            remains->words[i] = 0;
    }
    if (read_at(segment_fd, &moving, sizeof moving, RINGD_CONTROL_OFFSET + offsetof(struct ringd_control, moving)))
        remains->item->moving = moving == RINGD_MOVING_BEGUN;
}

/* NULL, or what is wrong with it. */
static const char *examine_segment(struct remains *remains)
{
    struct object_name ring =
        object_name_ring(remains->left->instance_id, remains->item->name, remains->header.generation);
    struct object_name segment_name = object_name_segment(&ring), readers_name = object_name_readers(&ring);
    const char *why;
    int readers_fd, segment_fd = open_part(remains, &segment_name, remains->header.segment_bytes, &why);

    if (segment_fd < 0)
        return why;
    readers_fd = open_part(remains, &readers_name, remains->header.readers_bytes, &why);
    if (readers_fd >= 0) {
        if (header_is_sound(remains, segment_fd, readers_fd))
            read_lanes(remains, segment_fd);
        else
            why = "not what its record says: somebody has written over its header";
        close(readers_fd);
    }
    close(segment_fd);
    return why;
}

/* ---- a ring: who is in it --------------------------------------------------------------------------------------- */

enum life { LIFE_NONE, LIFE_GONE, LIFE_HELD };

static enum life look_at_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return LIFE_NONE;
    return lock.l_type == F_UNLCK ? LIFE_GONE : LIFE_HELD;
}

/* The page of a context and whether its lock is held. */
static enum life read_life(const struct leftovers *left, const struct object_name *name, struct ringd_life *page)
{
    struct stat status;
    int fd = open_found(left, name, &status);
    enum life life = LIFE_NONE;

    if (fd < 0)
        return LIFE_NONE;
    if (read_at(fd, page, sizeof *page, 0) && life_page_is_sound(page))
        life = look_at_lock(fd);
    close(fd);
    return life;
}

static const struct record_slot *record_slot(const struct remains *remains, bool writer, uint32_t slot)
{
    return writer ? &remains->page->writers[slot] : &remains->page->readers[slot];
}

static bool life_fits(const struct remains *remains, const struct object_parts *parts, const struct ringd_life *page)
{
    bool writer = parts->side == 'w';
    uint32_t slots = writer ? remains->page->lane_count * RINGD_WRITERS_PER_LANE : RINGD_READERS_MAX;

    return page->ring_id == remains->header.ring_id && page->ring_id == parts->ring_id && parts->slot < slots &&
           page->slot == parts->slot && page->incarnation == parts->incarnation &&
           page->incarnation == record_slot(remains, writer, parts->slot)->incarnation &&
           page->kind >= RINGD_CONTEXT_WRITER && page->kind <= RINGD_CONTEXT_OBSERVER &&
           writer == (page->kind == RINGD_CONTEXT_WRITER);
}

static void add_context(struct remains *remains, const struct ringd_life *page, bool alive)
{
    struct leftover *item = remains->item;
    struct left_context *longer = reallocarray(item->contexts, item->context_count + 1, sizeof *longer), *context;

    if (longer == NULL) {
        remains->left->no_memory = true;
        return;
    }
    item->contexts = longer;
    context = &longer[item->context_count++];
    *context = (struct left_context){.kind = page->kind, .slot = page->slot, .pid = page->pid, .alive = alive};
    for (size_t i = 0; page->command[i] != '\0'; i++)
        context->command[i] = page->command[i] >= ' ' && page->command[i] <= '~' ? page->command[i] : '?';
    if (page->kind == RINGD_CONTEXT_WRITER)
        context->in_record =
            remains->words[page->slot / RINGD_WRITERS_PER_LANE] >> page->slot % RINGD_WRITERS_PER_LANE & 1;
    else if (page->kind == RINGD_CONTEXT_LOSSLESS &&
             record_slot(remains, false, page->slot)->kind == RINGD_CONTEXT_EVICTED)
        context->kind = RINGD_CONTEXT_EVICTED;
}

static void examine_life(struct remains *remains, struct found *found)
{
    bool *seen = found->parts.side == 'w' ? remains->seen_writers : remains->seen_readers;
    struct ringd_life page;
    enum life life = read_life(remains->left, &found->name, &page);

    if (life == LIFE_NONE || !life_fits(remains, &found->parts, &page))
        return;
    found->of_ring = true;
    seen[page.slot] = true;
    add_context(remains, &page, life == LIFE_HELD);
}

static void count_closed(struct remains *remains)
{
    for (uint32_t i = 0; i < remains->page->lane_count * RINGD_WRITERS_PER_LANE; i++)
        remains->item->closed += !remains->seen_writers[i] && remains->page->writers[i].kind != 0;
    for (uint32_t i = 0; i < RINGD_READERS_MAX; i++)
        remains->item->closed += !remains->seen_readers[i] && remains->page->readers[i].kind != 0;
}

/* Segments and readers' objects: of a generation that is kept, or of the one that a move had begun. */
static void examine_object(struct remains *remains, struct found *found)
{
    uint64_t generation = found->parts.generation;

    if (found->parts.kind == OBJECT_LIFE)
        examine_life(remains, found);
    else
        found->of_ring = found->parts.kind == OBJECT_RECORD || record_page_header(remains->page, generation) != NULL ||
                         generation == remains->header.generation + 1;
}

/* ---- a ring: all ------------------------------------------------------------------------------------------------ */

static uint32_t count_contexts(const struct leftover *item, bool alive, uint32_t kind)
{
    uint32_t count = 0;

    for (size_t i = 0; i < item->context_count; i++)
        count += item->contexts[i].alive == alive && (kind == 0 || item->contexts[i].kind == kind);
    return count;
}

static void tell_kinds(struct leftover *item)
{
    static const char *const words[] = {NULL,           "writer",   "lossless reader",
                                        "lossy reader", "observer", "evicted reader"};
    const char *before = " (";

    for (uint32_t kind = RINGD_CONTEXT_WRITER; kind <= RINGD_CONTEXT_EVICTED; kind++) {
        uint32_t count = count_contexts(item, true, kind);

        if (count == 0)
            continue;
        tell(item, "%s%u %s%s", before, count, words[kind], count > 1 ? "s" : "");
        before = ", ";
    }
    tell(item, "%s", before[0] == ',' ? ")" : "");
}

static void tell_contexts(struct leftover *item)
{
    uint32_t alive = count_contexts(item, true, 0), dead = count_contexts(item, false, 0), cut = 0;

    for (size_t i = 0; i < item->context_count; i++)
        cut += !item->contexts[i].alive && item->contexts[i].in_record;
    tell(item, ", %u context%s alive", alive, alive == 1 ? "" : "s");
    tell_kinds(item);
    if (dead > 0)
        tell(item, ", %u dead", dead);
    if (cut > 0)
        tell(item, ", %s%u in mid-record", cut == dead ? "" : "of them ", cut);
    if (item->closed > 0)
        tell(item, ", %u slot%s lost, as somebody has removed the life page%s", item->closed,
             item->closed == 1 ? "" : "s", item->closed == 1 ? "" : "s");
    if (item->moving)
        tell(item, ", in the middle of a move");
}

/* A LIVE one. */
static void explain_live(struct remains *remains)
{
    struct leftover *item = remains->item;
    const struct ringd_segment_header *header = record_page_header(remains->page, remains->page->generation);
    char size[SIZE_TEXT_BYTES];
    const char *why;

    if (header == NULL) {
        tell(item, ": its record contradicts itself");
        decide(item, VERDICT_WRONG, FATE_REMOVED);
        return;
    }
    if (header->layout_version != RINGD_LAYOUT_VERSION) {
        tell(item, ": its layout is of another version (%u, not %u)", header->layout_version, RINGD_LAYOUT_VERSION);
        decide(item, VERDICT_WRONG, FATE_LEFT_ALONE);
        return;
    }
    memcpy(&remains->header, header, sizeof remains->header);
    why = examine_segment(remains);
    if (why != NULL) {
        tell(item, ": its shared memory is %s", why);
        decide(item, VERDICT_WRONG, FATE_REMOVED);
        return;
    }
    item->size = remains->header.data_bytes;
    for (size_t i = 0; i < remains->count; i++)
        examine_object(remains, &remains->found[i]);
    count_closed(remains);
    tell(item, "; %s", size_text(size, (double)item->size));
    tell_contexts(item);
    decide(item, item->closed > 0 ? VERDICT_WRONG : VERDICT_OK, FATE_TAKEN_OVER);
}

static void settle_all(struct remains *remains)
{
    for (size_t i = 0; i < remains->count; i++)
        remains->found[i].of_ring = true;
}

/* It is a record: what does it say? `len`: of the file. */
static void explain_record(struct remains *remains, int64_t len)
{
    struct leftover *item = remains->item;
    struct record_page *page = remains->page;
    int result = (uint64_t)len < sizeof *page ? -EBADMSG : record_page_check(page, (uint64_t)len, item->name);
    bool live = result == 0 && page->state == RECORD_LIVE;

    if (!live)
        settle_all(remains);
    if (result == -EPROTONOSUPPORT) {
        tell(item, "of another version of ringd (its record is of version %u, not %u)", page->version, RECORD_VERSION);
        decide(item, VERDICT_WRONG, FATE_LEFT_ALONE);
    } else if (result < 0) {
        tell(item, "its record is none");
        decide(item, VERDICT_WRONG, FATE_REMOVED);
    } else if (live) {
        tell(item, "left by ringd %u, which has ended", page->daemon_pid);
        explain_live(remains);
    } else {
        tell(item, "half %s by ringd %u, which has ended", page->state == RECORD_MAKING ? "made" : "removed",
             page->daemon_pid);
        decide(item, VERDICT_PENDING, FATE_REMOVED);
    }
    if (item->fate != FATE_TAKEN_OVER)
        settle_all(remains);
}

static void explain_owned(struct remains *remains)
{
    struct leftover *item = remains->item;

    item->stopped = process_is_stopped(item->pid);
    tell(item, "a ringd (pid %u%s) still owns it; no other starts here until that one ends", item->pid,
         item->stopped ? ", stopped" : "");
    decide(item, VERDICT_WRONG, FATE_OWNED);
    settle_all(remains);
}

/* No record of the daemon's: somebody else's, or one that we may not look at. */
static void explain_closed(struct remains *remains, int result)
{
    struct leftover *item = remains->item;
    struct stat status;
    char path[sizeof SHARED_DIRECTORY + sizeof remains->found->name.text];

    settle_all(remains);
    snprintf(path, sizeof path, SHARED_DIRECTORY "%s", remains->found->name.text);
    if (lstat(path, &status) != 0) {
        tell(item, "its record is gone by now");
        decide(item, VERDICT_PENDING, FATE_UNKNOWN);
    } else if (status.st_uid != remains->left->user || !S_ISREG(status.st_mode)) {
        tell(item, "its record is not of ringd's user, uid %u, but %s uid %u", remains->left->user,
             S_ISREG(status.st_mode) ? "of" : "no regular file, of", status.st_uid);
        decide(item, VERDICT_WRONG, FATE_LEFT_ALONE);
    } else if (who_holds(&status, 0, &item->pid) == HELD) {
        explain_owned(remains);
    } else if (!remains->left->may_look) {
        tell(item, "left by an earlier ringd; only its user, uid %u, and root may look at it", status.st_uid);
        decide(item, VERDICT_PENDING, FATE_UNKNOWN);
        remains->left->hidden = true;
    } else {
        tell(item, "its record cannot be opened: %s", strerror(-result));
        decide(item, VERDICT_WRONG, FATE_UNKNOWN);
    }
}

static void explain_remains(struct remains *remains)
{
    struct leftover *item = remains->item;
    struct stat status;
    int64_t len = remains->left->may_look ? read_record(remains, &status) : -EACCES;
    enum held held;

    if (len < 0) {
        explain_closed(remains, (int)len);
        return;
    }
    held = who_holds(&status, remains->page->daemon_pid, &item->pid);
    if (held == HELD) {
        explain_owned(remains);
    } else if (held == HELD_UNKNOWN) {
        tell(item, "of ringd %u; whether that one still runs cannot be told, as /proc/locks cannot be read",
             remains->page->daemon_pid);
        decide(item, VERDICT_WRONG, FATE_UNKNOWN);
        settle_all(remains);
    } else {
        item->pid = remains->page->daemon_pid;
        explain_record(remains, len);
    }
}

/* The page is zeroed for each: what a short record does not have reads as nothing. */
static void explain_ring(struct leftovers *left, struct found *found, size_t count)
{
    struct remains *remains = calloc(1, sizeof *remains);
    struct record_page *page = aligned_alloc(_Alignof(struct record_page), RECORD_PAGE_BYTES_MAX);

    if (remains == NULL || page == NULL) {
        left->no_memory = true;
    } else {
        memset(page, 0, RECORD_PAGE_BYTES_MAX);
        *remains = (struct remains){.left = left, .found = found, .count = count, .page = page};
        remains->item = add_item(left, LEFTOVER_RING, found->parts.ring);
        if (remains->item != NULL)
            explain_remains(remains);
    }
    free(page);
    free(remains);
}

/* ---- what belongs to no ring ------------------------------------------------------------------------------------ */

static bool is_there(const struct found *found, struct stat *status)
{
    char path[sizeof SHARED_DIRECTORY + sizeof found->name.text];

    snprintf(path, sizeof path, SHARED_DIRECTORY "%s", found->name.text);
    return lstat(path, status) == 0;
}

static void explain_object(struct leftovers *left, const struct found *found, const struct stat *status, bool daemon)
{
    struct leftover *item = add_item(left, LEFTOVER_OBJECT, found->name.text + 1);

    if (item == NULL)
        return;
    tell(item, "in " SHARED_DIRECTORY ", of uid %u, %s", status->st_uid,
         daemon ? "belongs to no ring that ringd has" : "belongs to no ring");
    if (status->st_uid == left->user)
        decide(item, daemon ? VERDICT_WRONG : VERDICT_PENDING, FATE_REMOVED);
    else if (left->user == 0)
        decide(item, VERDICT_WRONG, FATE_REMOVED);
    else {
        tell(item, ", and ringd may not remove it");
        decide(item, VERDICT_WRONG, FATE_LEFT_ALONE);
    }
}

/* Pages of contexts whose ring was removed, or of those that have left: the daemon removes them, and says nothing. */
static void explain_lives(struct leftovers *left, uint32_t count, uint32_t held, bool daemon)
{
    struct leftover *item;
    char name[32];

    if (count == 0)
        return;
    snprintf(name, sizeof name, "%u life page%s", count, count == 1 ? "" : "s");
    item = add_item(left, LEFTOVER_OBJECT, name);
    if (item == NULL)
        return;
    tell(item, "of contexts of rings that are gone, %u of which still run", held);
    if (daemon)
        decide(item, held == count ? VERDICT_OK : VERDICT_PENDING, FATE_OWNED);
    else
        decide(item, VERDICT_PENDING, FATE_REMOVED);
}

static void explain_rest(struct leftovers *left, bool daemon)
{
    uint32_t lives = 0, held = 0;

    for (size_t i = 0; i < left->found_count; i++) {
        const struct found *found = &left->found[i];
        struct ringd_life page;
        struct stat status;

        if (found->of_ring || !is_there(found, &status))
            continue;
        if (found->known && found->parts.kind == OBJECT_LIFE && status.st_uid == left->user &&
            S_ISREG(status.st_mode)) {
            lives++;
            held += read_life(left, &found->name, &page) == LIFE_HELD;
        } else {
            explain_object(left, found, &status, daemon);
        }
    }
    explain_lives(left, lives, held, daemon);
}

/* ---- with a daemon, and without --------------------------------------------------------------------------------- */

static size_t run_length(const struct leftovers *left, size_t first)
{
    size_t count = 1;

    while (first + count < left->found_count && left->found[first + count].known &&
           strcmp(left->found[first + count].parts.ring, left->found[first].parts.ring) == 0)
        count++;
    return count;
}

void leftovers_explain(struct leftovers *left, bool silent)
{
    explain_lock(left, silent);
    for (size_t i = 0; i < left->found_count && left->found[i].known;) {
        size_t count = run_length(left, i);

        if (left->found[i].parts.kind == OBJECT_RECORD)
            explain_ring(left, &left->found[i], count);
        i += count;
    }
    explain_rest(left, false);
}

static bool is_listed(const struct found *found, const struct ringd_info *rings, size_t count)
{
    for (size_t i = 0; found->known && i < count; i++) {
        if (strncmp(rings[i].name, found->parts.ring, sizeof found->parts.ring) == 0)
            return true;
    }
    return false;
}

void leftovers_compare(struct leftovers *left, const struct ringd_info *rings, size_t count)
{
    for (size_t i = 0; i < left->found_count; i++)
        left->found[i].of_ring = (left->found[i].known && !left->may_look) || is_listed(&left->found[i], rings, count);
    explain_rest(left, true);
}

/* ---- printing --------------------------------------------------------------------------------------------------- */

enum verdict leftovers_verdict(const struct leftovers *left)
{
    enum verdict worst = VERDICT_OK;

    for (size_t i = 0; i < left->item_count; i++) {
        if (left->items[i].verdict > worst)
            worst = left->items[i].verdict;
    }
    return worst;
}

/* Names of files are anything. */
static void printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void leftovers_print(struct leftovers *left, struct page *page)
{
    for (size_t i = 0; i < left->item_count; i++) {
        struct leftover *item = &left->items[i];

        printable(item->name);
        page_text(page, "%-8s %s: %s\n", verdict_word(item->verdict), item->name, item->text);
    }
}

static json_t *json_context(const struct left_context *context)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:b, s:b}", "kind", context_kind_word(context->kind), "slot",
                     json_unsigned(context->slot), "pid", json_unsigned(context->pid), "command", context->command,
                     "alive", context->alive, "in_record", context->in_record);
}

static void json_ring_parts(json_t *object, const struct leftover *item)
{
    json_t *contexts = json_array();

    for (size_t i = 0; i < item->context_count; i++)
        json_array_append_new(contexts, json_context(&item->contexts[i]));
    json_object_set_new(object, "size", item->size != 0 ? json_unsigned(item->size) : json_null());
    json_object_set_new(object, "moving", json_boolean(item->moving));
    json_object_set_new(object, "lost_slots", json_unsigned(item->closed));
    json_object_set_new(object, "contexts", contexts);
}

static json_t *json_item(struct leftover *item)
{
    static const char *const fates[] = {"taken_over", "removed", "left_alone", "owned", "unknown"};
    json_t *object;

    printable(item->name);
    object = json_pack("{s:s, s:s, s:s, s:s}", "name", item->name, "result", verdict_key(item->verdict), "next",
                       fates[item->fate], "text", item->text);
    if (item->kind == LEFTOVER_OBJECT)
        return object;
    json_object_set_new(object, "daemon_pid", item->pid != 0 ? json_unsigned(item->pid) : json_null());
    json_object_set_new(object, "daemon_stopped", json_boolean(item->stopped));
    if (item->kind == LEFTOVER_RING)
        json_ring_parts(object, item);
    return object;
}

void leftovers_json(struct leftovers *left, json_t *object)
{
    static const char *const keys[] = {"lock", "left", "objects"};
    json_t *lists[] = {NULL, json_array(), json_array()};

    for (size_t i = 0; i < left->item_count; i++) {
        struct leftover *item = &left->items[i];

        if (item->kind == LEFTOVER_LOCK)
            json_object_set_new(object, keys[item->kind], json_item(item));
        else
            json_array_append_new(lists[item->kind], json_item(item));
    }
    json_object_set_new(object, "instance", json_string(left->instance_id));
    json_object_set_new(object, keys[LEFTOVER_RING], lists[LEFTOVER_RING]);
    json_object_set_new(object, keys[LEFTOVER_OBJECT], lists[LEFTOVER_OBJECT]);
}
