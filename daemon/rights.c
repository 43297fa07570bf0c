/* rights.c - see rights.h. */
#define _GNU_SOURCE
#include "rights.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel says how long the list is when it is offered too little room. It does not change after connect. */
static int load_groups(struct credentials *credentials, int socket_fd)
{
    socklen_t len = 0;

    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
        return 0;
    if (errno != ERANGE)
        return -errno;
    credentials->groups = malloc(len);
    if (credentials->groups == NULL)
        return -ENOMEM;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, credentials->groups, &len) != 0)
        return -errno;
    credentials->group_count = len / sizeof credentials->groups[0];
    return 0;
}

int credentials_init(struct credentials *credentials, int socket_fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    int result;

    *credentials = (struct credentials){0};
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return -errno;
    credentials->pid = peer.pid;
    credentials->uid = peer.uid;
    credentials->gid = peer.gid;
    result = load_groups(credentials, socket_fd);
    if (result < 0)
        credentials_deinit(credentials);
    return result;
}

void credentials_deinit(struct credentials *credentials)
{
    free(credentials->groups);
    *credentials = (struct credentials){0};
}

static bool in_group(const struct credentials *credentials, gid_t group)
{
    if (credentials->gid == group)
        return true;
    for (size_t i = 0; i < credentials->group_count; i++) {
        if (credentials->groups[i] == group)
            return true;
    }
    return false;
}

bool rights_privileged(const struct credentials *credentials)
{
    return credentials->uid == 0 || credentials->uid == geteuid();
}

unsigned rights_granted(const struct ring_rights *rights, const struct credentials *credentials)
{
    if (rights_privileged(credentials))
        return 07;
    if (rights->owner == credentials->uid)
        return rights->mode >> 6 & 07;
    if (in_group(credentials, rights->group))
        return rights->mode >> 3 & 07;
    return rights->mode & 07;
}

bool rights_own(const struct ring_rights *rights, const struct credentials *credentials)
{
    return rights_privileged(credentials) || rights->owner == credentials->uid;
}

/* Ids are 32 bits; the highest stands for "none" in several system calls. */
static int parse_id(const char *text, uint32_t *id)
{
    unsigned long long value;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return -ENOENT;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value >= UINT32_MAX)
        return -ENOENT;
    *id = (uint32_t)value;
    return 0;
}

int rights_find_user(const char *name, uid_t *uid)
{
    const struct passwd *user = getpwnam(name);

    if (user == NULL)
        return parse_id(name, uid);
    *uid = user->pw_uid;
    return 0;
}

int rights_find_group(const char *name, gid_t *gid)
{
    const struct group *group = getgrnam(name);

    if (group == NULL)
        return parse_id(name, gid);
    *gid = group->gr_gid;
    return 0;
}

/* uid_t and gid_t are the same type on Linux. */
static int append_id(uint32_t **ids, size_t *count, uint32_t id)
{
    uint32_t *longer = reallocarray(*ids, *count + 1, sizeof **ids);

    if (longer == NULL)
        return -ENOMEM;
    longer[(*count)++] = id;
    *ids = longer;
    return 0;
}

static int add_one(struct creators *creators, const char *name)
{
    uint32_t id;
    int result;

    if (name[0] == '@') {
        result = rights_find_group(name + 1, &id);
        return result < 0 ? result : append_id(&creators->groups, &creators->group_count, id);
    }
    result = rights_find_user(name, &id);
    return result < 0 ? result : append_id(&creators->users, &creators->user_count, id);
}

int creators_add(struct creators *creators, const char *list)
{
    char *copy = strdup(list), *rest = copy, *name;
    int result = copy == NULL ? -ENOMEM : 0;

    while (result == 0 && (name = strsep(&rest, ",")) != NULL) {
        name += strspn(name, " \t");
        name[strcspn(name, " \t")] = '\0';
        result = name[0] == '\0' ? -EINVAL : add_one(creators, name);
    }
    free(copy);
    return result;
}

bool creators_allow(const struct creators *creators, const struct credentials *credentials)
{
    if (rights_privileged(credentials))
        return true;
    for (size_t i = 0; i < creators->user_count; i++) {
        if (creators->users[i] == credentials->uid)
            return true;
    }
    for (size_t i = 0; i < creators->group_count; i++) {
        if (in_group(credentials, creators->groups[i]))
            return true;
    }
    return false;
}

void creators_deinit(struct creators *creators)
{
    free(creators->users);
    free(creators->groups);
    *creators = (struct creators){0};
}
