/* Error paths: written only when something failed, so plain and bounded rather than fast. */
#include "core/base/json_path.h"

#include "core/base/utf8.h"

static const char ELLIPSIS[] = "\xe2\x80\xa6";

/* Room is always kept for the ellipsis and the NUL. */
struct writer {
    char *out;
    size_t len;
    bool is_full;
};

static void add(struct writer *w, const char *bytes, size_t len)
{
    if (w->is_full)
        return;
    if (w->len + len + sizeof(ELLIPSIS) > JSON_PATH_TEXT_MAX) {
        w->is_full = true;
        bytes = ELLIPSIS;
        len = sizeof(ELLIPSIS) - 1;
    }
    memcpy(w->out + w->len, bytes, len);
    w->len += len;
    w->out[w->len] = '\0';
}

static void add_printable(struct writer *w, struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        unsigned len = utf8_seq_len(text.base + i, text.len - i);
        bool is_control = len == 1 && ((unsigned char)text.base[i] < 0x20 || text.base[i] == 0x7f);
        if (len == 0 || is_control)
            add(w, "?", 1);
        else
            add(w, text.base + i, len);
        i += MAX(len, 1u);
    }
}

void json_path_printable(char *out, struct slice text)
{
    struct writer w = {.out = out};
    out[0] = '\0';
    add_printable(&w, text);
}

static bool is_simple(struct slice key)
{
    for (size_t i = 0; i < key.len; ++i) {
        char c = key.base[i], lower = (char)(c | 0x20);
        if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return key.len != 0;
}

void json_path_write(char *out, const struct json_path_step *steps, unsigned num)
{
    struct writer w = {.out = out};
    out[0] = '\0';
    for (unsigned i = 0; i < num; ++i) {
        char index[16];
        if (steps[i].is_array) {
            add(&w, index, (size_t)snprintf(index, sizeof(index), "[%u]", steps[i].index));
        } else if (steps[i].key.base == NULL) {
            break;
        } else if (is_simple(steps[i].key)) {
            add(&w, ".", w.len != 0);
            add_printable(&w, steps[i].key);
        } else {
            add(&w, "[\"", 2);
            add_printable(&w, steps[i].key);
            add(&w, "\"]", 2);
        }
    }
}
