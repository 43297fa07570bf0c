/* ringctl_record.c - one record as `tail` shows it.
 *
 *     a line    the payload and a newline, nothing else
 *     --binary  four bytes of length, least significant first, and the payload: any payload survives it
 *     --json    an object a line with all that is known of the record; the payload as "data" when it is valid UTF-8,
 *               else as "data_base64"
 */
#include "ringctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int put_line(struct output *output, const struct ringd_record *record)
{
    output_put(output, record->data, record->len);
    return output_put(output, "\n", 1);
}

static int put_frame(struct output *output, const struct ringd_record *record)
{
    unsigned char prefix[4];

    for (unsigned i = 0; i < sizeof prefix; i++)
        prefix[i] = (unsigned char)(record->len >> (8 * i));
    output_put(output, prefix, sizeof prefix);
    return output_put(output, record->data, record->len);
}

/* Three bytes, or what is left of them, as four letters. */
static void base64_group(const unsigned char *data, size_t len, char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = (unsigned)data[0] << 16 | (len > 1 ? (unsigned)data[1] << 8 : 0) | (len > 2 ? data[2] : 0u);

    text[0] = letters[bits >> 18];
    text[1] = letters[bits >> 12 & 63];
    text[2] = len > 1 ? letters[bits >> 6 & 63] : '=';
    text[3] = len > 2 ? letters[bits & 63] : '=';
}

static json_t *base64(const unsigned char *data, size_t len)
{
    size_t groups = (len + 2) / 3;
    char *text = malloc(groups * 4 + 1);

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < groups; i++)
        base64_group(data + i * 3, len - i * 3, text + i * 4);
    json_t *string = json_stringn_nocheck(text, groups * 4);
    free(text);
    return string;
}

static void set_payload(json_t *object, const struct ringd_record *record)
{
    json_t *text = json_stringn(record->len > 0 ? record->data : "", record->len);

    if (text != NULL)
        json_object_set_new(object, "data", text);
    else
        json_object_set_new(object, "data_base64", base64(record->data, record->len));
}

static json_t *record_json(const struct ringd_record *record)
{
    json_t *object = json_object();

    json_object_set_new(object, "position", json_unsigned(record->position));
    json_object_set_new(object, "next", json_unsigned(record->next));
    json_object_set_new(object, "writer", json_unsigned(record->writer));
    json_object_set_new(object, "incarnation", json_unsigned(record->incarnation));
    json_object_set_new(object, "sequence", json_unsigned(record->sequence));
    json_object_set_new(object, "time", json_unsigned(record->time));
    json_object_set_new(object, "type", json_unsigned(record->type));
    json_object_set_new(object, "level", json_unsigned(record->level));
    if (record->flags & RINGD_PERHAPS_SEEN)
        json_object_set_new(object, "perhaps_seen", json_true());
    set_payload(object, record);
    return object;
}

static int put_json(struct output *output, const struct ringd_record *record)
{
    json_t *object = record_json(record);
    char *text = json_dumps(object, JSON_COMPACT);

    json_decref(object);
    if (text == NULL)
        return output->error != 0 ? output->error : (output->error = -ENOMEM);
    output_put(output, text, strlen(text));
    free(text);
    return output_put(output, "\n", 1);
}

int record_put(struct output *output, const struct options *options, const struct ringd_record *record)
{
    if (options->json)
        return put_json(output, record);
    return options->binary ? put_frame(output, record) : put_line(output, record);
}
