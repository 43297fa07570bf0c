/* ringctl_table.h - tables for people.
 *
 * A page collects text and tables in memory and is printed in one piece. A table is filled cell by cell, line by line.
 * Running out of memory anywhere is remembered in the page and said when it is printed, so the code that fills tables
 * has no errors to handle. No colour is ever used.
 */
#ifndef LIBCLIENT_RINGCTL_TABLE_H
#define LIBCLIENT_RINGCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct options;
struct libscols_table;
struct libscols_line;

struct page {
    FILE *file;
    char *text;
    size_t len;
    bool failed;
};

struct table_column {
    const char *name; /* NULL ends the list */
    bool right;
};

struct table {
    struct page *page;
    struct libscols_table *scols;
    struct libscols_line *line;
    size_t next_cell;
};

void page_init(struct page *page);
void page_text(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* On stdout; an exit code. Frees the page. */
int page_print(struct page *page, const struct options *options);

/* Without printing. */
void page_deinit(struct page *page);

void table_init(struct table *table, struct page *page, const struct table_column *columns);
void table_line(struct table *table);
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts the table on its page and frees it. */
void table_finish(struct table *table);

#endif
