// boost_queue.cpp - a C interface to Boost.Interprocess message_queue; see boost_queue.h.
#include "boost_queue.h"

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#include <boost/interprocess/ipc/message_queue.hpp>

using boost::interprocess::message_queue;

int boost_queue_available(void)
{
    return 1;
}

void *boost_queue_open(const char *name, size_t messages, size_t bytes)
{
    try {
        if (messages == 0)
            return new message_queue(boost::interprocess::open_only, name);
        message_queue::remove(name);
        return new message_queue(boost::interprocess::create_only, name, messages, bytes);
    } catch (...) {
        return nullptr;
    }
}

void boost_queue_close(void *queue)
{
    delete static_cast<message_queue *>(queue);
}

void boost_queue_remove(const char *name)
{
    message_queue::remove(name);
}

int boost_queue_send(void *queue, const void *data, size_t bytes, int wait)
{
    message_queue *own = static_cast<message_queue *>(queue);

    try {
        if (!wait)
            return own->try_send(data, bytes, 0) ? 0 : 1;
        own->send(data, bytes, 0);
        return 0;
    } catch (...) {
        return -1;
    }
}

int boost_queue_receive(void *queue, void *data, size_t bytes, int wait)
{
    message_queue *own = static_cast<message_queue *>(queue);
    message_queue::size_type size = 0;
    unsigned priority = 0;

    try {
        if (wait)
            own->receive(data, bytes, size, priority);
        else if (!own->try_receive(data, bytes, size, priority))
            return 1;
        return size == bytes ? 0 : -1;
    } catch (...) {
        return -1;
    }
}
#else
int boost_queue_available(void)
{
    return 0;
}

void *boost_queue_open(const char *, size_t, size_t)
{
    return nullptr;
}

void boost_queue_close(void *)
{
}

void boost_queue_remove(const char *)
{
}

int boost_queue_send(void *, const void *, size_t, int)
{
    return -1;
}

int boost_queue_receive(void *, void *, size_t, int)
{
    return -1;
}
#endif
