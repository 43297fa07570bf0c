/* ringctl_table.c - pages of text and tables, laid out by libsmartcols. See ringctl_table.h.
 *
 * The page is a stream in memory, so libsmartcols never sees a terminal: nothing is cut to its width, and what a pipe
 * gets is what a terminal shows. What other programs chose (names of commands) it prints with unprintable bytes
 * escaped.
 */
#include "ringctl_table.h"
#include "ringctl.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>

#define CELL_BYTES 128

void page_init(struct page *page)
{
    *page = (struct page){0};
    page->file = open_memstream(&page->text, &page->len);
    page->failed = page->file == NULL;
}

void page_text(struct page *page, const char *format, ...)
{
    if (page->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    page->failed = vfprintf(page->file, format, arguments) < 0;
    va_end(arguments);
}

void page_deinit(struct page *page)
{
    if (page->file != NULL)
        fclose(page->file);
    free(page->text);
    *page = (struct page){0};
}

int page_print(struct page *page, const struct options *options)
{
    if (page->file != NULL && fclose(page->file) != 0)
        page->failed = true;
    int code = page->failed ? say_failure(options, -ENOMEM) : print_text(options, page->text, page->len);
    free(page->text);
    *page = (struct page){0};
    return code;
}

void table_init(struct table *table, struct page *page, const struct table_column *columns)
{
    *table = (struct table){.page = page, .scols = scols_new_table()};
    if (page->failed || table->scols == NULL) {
        page->failed = true;
        return;
    }
    scols_table_set_stream(table->scols, page->file);
    for (; columns->name != NULL; columns++)
        if (scols_table_new_column(table->scols, columns->name, 0, columns->right ? SCOLS_FL_RIGHT : 0) == NULL)
            page->failed = true;
}

void table_line(struct table *table)
{
    if (table->page->failed)
        return;
    table->line = scols_table_new_line(table->scols, NULL);
    table->next_cell = 0;
    table->page->failed = table->line == NULL;
}

void table_cell(struct table *table, const char *format, ...)
{
    if (table->page->failed)
        return;
    char text[CELL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    table->page->failed = scols_line_set_data(table->line, table->next_cell++, text) != 0;
}

void table_finish(struct table *table)
{
    if (!table->page->failed && scols_print_table(table->scols) != 0)
        table->page->failed = true;
    scols_unref_table(table->scols);
    *table = (struct table){0};
}
