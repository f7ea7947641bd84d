/* Syntaxes of names and values in resources: what the public schemas say as patterns, without regular expressions. */
#ifndef SELVEDGE_MODEL_FORMAT_H
#define SELVEDGE_MODEL_FORMAT_H

#include "core/model/field.h"

extern const struct field_format
    format_dns_label,       /* RFC 1123 label: namespaces */
    format_dns_subdomain,   /* RFC 1123 subdomain: names of most objects */
    format_dns_1035_label,  /* begins with a letter: names of Services */
    format_hostname,        /* subdomain, may begin with "*." */
    format_precise_hostname, /* subdomain */
    format_fqdn,            /* subdomain, may end with a dot */
    format_group,           /* "" or subdomain */
    format_kind,            /* "HTTPRoute" */
    format_header_name,     /* RFC 9110 token */
    format_header_value,    /* visible characters, single blanks or tabs between */
    format_label_key,       /* [prefix/]name: labels, annotations */
    format_label_value,     /* at most 63 */
    format_port_name,       /* IANA service name: letters, digits, hyphens, at most 15 */
    format_controller_name, /* domain/path */
    format_key,             /* key of a ConfigMap or Secret: letters, digits, -_. */
    format_app_protocol,    /* IANA name or domain/name */
    format_ip,              /* IPv4 or IPv6 literal */
    format_cidr,            /* IP/prefix length, or IP */
    format_absolute_path,   /* begins with "/" */
    format_url_path,        /* "" or an absolute path of RFC 3986 characters: nothing that could leave a request line */
    format_request_target,  /* an absolute path, maybe with a query */
    format_uri,             /* scheme://…, visible ASCII */
    format_condition_reason;

#endif
