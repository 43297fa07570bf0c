/* answer.c - see answer.h. The rings and contexts are not cleared beforehand: what is counted has been filled. */
#define _GNU_SOURCE
#include "answer.h"

#include <bsd/string.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stop_point.h"

void answer_init(struct answer *answer, uint16_t type)
{
    answer->reply = (struct ringd_reply){
        .magic = RINGD_PROTO_MAGIC,
        .version = RINGD_PROTO_VERSION,
        .type = type,
    };
    answer->descriptor_count = 0;
    answer->life_fd = -1;
    answer->later = false;
}

void answer_deinit(struct answer *answer)
{
    if (answer->life_fd >= 0)
        close(answer->life_fd);
    answer->life_fd = -1;
}

void answer_fail(struct answer *answer, int result, const struct problem *problem)
{
    answer_deinit(answer);
    answer_init(answer, answer->reply.type);
    answer->reply.result = result;
    strlcpy(answer->reply.text, problem->text, sizeof answer->reply.text);
}

/* Room for the descriptors, aligned as the kernel wants it. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(RINGD_PROTO_DESCRIPTORS * sizeof(int))];
};

static void add_descriptors(struct msghdr *message, union control *control, const struct answer *answer)
{
    size_t bytes = answer->descriptor_count * sizeof answer->descriptors[0];

    if (bytes == 0)
        return;
    memset(control, 0, sizeof *control);
    control->header.cmsg_level = SOL_SOCKET;
    control->header.cmsg_type = SCM_RIGHTS;
    control->header.cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(&control->header), answer->descriptors, bytes);
    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(bytes);
}

int answer_send(const struct answer *answer, int socket_fd)
{
    union control control;
    struct iovec parts[] = {
        {(void *)&answer->reply, sizeof answer->reply},
        {(void *)answer->infos, answer->reply.count * sizeof answer->infos[0]},
        {(void *)answer->contexts, answer->reply.contexts * sizeof answer->contexts[0]},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof parts[0]};
    int result;

    add_descriptors(&message, &control, answer);
    result = sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
    STOP_POINT("answer-sent");
    return result;
}
