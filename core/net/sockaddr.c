/* Socket addresses as text, and back: numeric only, names are the resolver's. */
#include "core/net/io.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static void format_unix(const struct sockaddr_un *addr, char *out, size_t cap)
{
    snprintf(out, cap, "unix:%s%s", addr->sun_path[0] == '\0' && addr->sun_path[1] != '\0' ? "@" : "",
             addr->sun_path[0] == '\0' ? addr->sun_path + 1 : addr->sun_path);
}

void net_sockaddr_format(const struct sockaddr *addr, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)addr;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;

    switch (addr->sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
        snprintf(out, cap, "%s:%u", host, ntohs(in4->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, cap, "[%s]:%u", host, ntohs(in6->sin6_port));
        break;
    case AF_UNIX:
        format_unix((const struct sockaddr_un *)addr, out, cap);
        break;
    default:
        snprintf(out, cap, "unknown");
    }
}

socklen_t net_sockaddr_len(const struct sockaddr *addr)
{
    switch (addr->sa_family) {
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    case AF_UNIX:
        return sizeof(struct sockaddr_un); /* a path ends with its NUL */
    default:
        return sizeof(struct sockaddr_in);
    }
}

static int parse_unix(struct slice path, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;

    if (path.len == 0 || path.len >= sizeof(un->sun_path) || memchr(path.base, '\0', path.len) != NULL)
        return err_set(err, ERR_INVALID, "'%.*s' is no path of a unix socket (1 to %zu bytes)", (int)path.len, path.base,
                       sizeof(un->sun_path) - 1);
    *ret = (struct sockaddr_storage){.ss_family = AF_UNIX};
    memcpy(un->sun_path, path.base, path.len);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return 0;
}

int net_sockaddr_parse(struct slice host, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (slice_starts(host, SLICE("unix:")))
        return parse_unix(slice_make(host.base + 5, host.len - 5), ret, ret_len, err);
    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.base, '\0', host.len) != NULL)
        return err_set(err, ERR_INVALID, "'%.*s' is no IP address", (int)MIN(host.len, 100), host.base);
    memcpy(text, host.base, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret = (struct sockaddr_storage){0};
        *(struct sockaddr_in *)ret =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = v4, .sin_port = htons(port)};
        *ret_len = sizeof(struct sockaddr_in);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &v6) == 1) {
        *ret = (struct sockaddr_storage){0};
        *(struct sockaddr_in6 *)ret =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = v6, .sin6_port = htons(port)};
        *ret_len = sizeof(struct sockaddr_in6);
        return 0;
    }
    return err_set(err, ERR_INVALID, "'%s' is no IP address", text);
}
