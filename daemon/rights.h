/* rights.h - who asks, and what he may do.
 *
 * Who asks is what the kernel says of the socket's other end at the time it connected: uid, gid, groups, pid. (The pid
 * is for people; nothing depends on it.) What he may do with a ring is nine bits as for a file: three each for the
 * ring's owner, its group and everybody else, of which the first class that fits applies, also when it grants less:
 *
 *     4  read: lossy readers, observers, status      2  write
 *     1  read losslessly, that is hold writers up; of use only together with 4
 *
 * Root and the daemon's own user may do everything, and make rings; others may make rings if the configuration's
 * `create` names them or one of their groups. Who makes a ring owns it. The owner may remove it.
 *
 * The rights are checked once, when descriptors are handed out; what a descriptor allows is then up to the kernel.
 */
#ifndef DAEMON_RIGHTS_H
#define DAEMON_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "problem.h"

enum right {
    RIGHT_READ = 4,
    RIGHT_WRITE = 2,
    RIGHT_LOSSLESS = 1,
};

/* A zeroed one is empty and can be destroyed. */
struct credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t group_count;
};

/* Of a ring. */
struct ring_rights {
    uid_t owner;
    gid_t group;
    uint32_t mode;
};

/* Who may make rings besides root and the daemon's user. A zeroed one is empty and can be destroyed. */
struct creators {
    uid_t *users;
    size_t user_count;
    gid_t *groups;
    size_t group_count;
};

/* Asks the kernel about the other end of a connected socket. *credentials is empty after a failure. */
int credentials_init(struct credentials *credentials, int socket_fd);
void credentials_deinit(struct credentials *credentials);

bool rights_privileged(const struct credentials *credentials);

/* Bits of enum right. */
unsigned rights_granted(const struct ring_rights *rights, const struct credentials *credentials);

/* May remove it. */
bool rights_own(const struct ring_rights *rights, const struct credentials *credentials);

/* A user or group, by name or number. -ENOENT. */
int rights_find_user(const char *name, uid_t *uid);
int rights_find_group(const char *name, gid_t *gid);

/* Adds those in "alice,1000,@staff,@20". -ENOENT (a name is not known), -EINVAL (an empty one), -ENOMEM. */
int creators_add(struct creators *creators, const char *list);
bool creators_allow(const struct creators *creators, const struct credentials *credentials);
void creators_deinit(struct creators *creators);

#endif
