/* later.c - see later.h. */
#include "later.h"

#include <stddef.h>

void later_add(struct later_list *list, struct later *later)
{
    if (later == NULL)
        return;
    LIST_INSERT_HEAD(list, later, link);
    later->waits = true;
}

void later_forget(struct later *later)
{
    if (!later->waits)
        return;
    LIST_REMOVE(later, link);
    later->waits = false;
}

/* One at a time: who is told may make others forget. */
void later_tell(struct later_list *list, int result, uint64_t value, const struct problem *problem)
{
    struct later *later;

    while ((later = LIST_FIRST(list)) != NULL) {
        later_forget(later);
        later->tell(later, result, value, problem);
    }
}
