/* Intrusive doubly linked list. A head is a struct list that points to itself; an unlinked node too. */
#ifndef SELVEDGE_BASE_LIST_H
#define SELVEDGE_BASE_LIST_H

#include "core/base/defs.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_insert_after(struct list *at, struct list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}
static inline void list_push(struct list *head, struct list *node)
{
    list_insert_after(head->prev, node);
}
static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_after(head, node);
}
/* Unlinks; the node is a self-linked one after, so removing twice is fine. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_ENTRY(ptr, type, member) CONTAINER_OF(ptr, type, member)
#define LIST_FIRST(head, type, member) LIST_ENTRY((head)->next, type, member)
#define LIST_FOR(var, head, type, member)                                                                    \
    for (type *var = LIST_ENTRY((head)->next, type, member); &var->member != (head);                         \
         var = LIST_ENTRY(var->member.next, type, member))
/* The current node may be removed or freed in the body. */
#define LIST_FOR_SAFE(var, head, type, member)                                                               \
    for (type *var = LIST_ENTRY((head)->next, type, member),                                                 \
              *var##_next = LIST_ENTRY(var->member.next, type, member);                                      \
         &var->member != (head);                                                                             \
         var = var##_next, var##_next = LIST_ENTRY(var##_next->member.next, type, member))

#endif
