/* Transactions and jobs on behalf of calls: both end on the worker, where the call is answered. */
#include "gateway/control/api_internal.h"

enum { MESSAGE_MAX = 1024 };

static void on_message(struct net_message *message, struct net_worker *worker)
{
    struct api_txn *self = CONTAINER_OF(message, struct api_txn, message);
    self->done(self);
}

static void on_txn_done(struct ctl_txn *txn)
{
    struct api_txn *self = CONTAINER_OF(txn, struct api_txn, txn);
    self->message.run = on_message;
    net_worker_send(self->call->control->worker, &self->message);
}

/* Why, as the caller says: ?message= or a header. */
static struct slice message_of(struct ctl_call *call)
{
    struct slice message = ctl_call_param(call, "message");
    if (message.base == NULL)
        message = ctl_call_request_header(call, "x-selvedge-message");
    return message.base != NULL ? slice_make(message.base, MIN(message.len, (size_t)MESSAGE_MAX)) : SLICE("");
}

void api_txn_submit(struct api_txn *self, struct ctl_call *call, const char *verb, const char *target)
{
    self->call = call;
    self->txn.actor = call->who->name;
    self->txn.origin = call->origin;
    if (self->txn.message.base == NULL)
        self->txn.message = message_of(call);
    self->txn.request_id = slice_of(arena_printf(call->arena, "%llx", (unsigned long long)call->id));
    self->txn.idempotency_key = ctl_call_request_header(call, "idempotency-key");
    self->audit = (struct ctl_audit){.actor = call->who->name,
                                     .origin = call->origin,
                                     .agent = call->user_agent.base != NULL ? call->user_agent : SLICE(""),
                                     .verb = slice_of(verb),
                                     .target = slice_of(target),
                                     .message = self->txn.message,
                                     .status = 200};
    self->txn.audit = &self->audit;
    self->txn.done = on_txn_done;
    call->on_answer = NULL; /* in the log with the transaction, committed or refused */
    ctl_store_submit(call->control->store, &self->txn);
}

static void run_job(struct net_job *job)
{
    struct api_job *self = CONTAINER_OF(job, struct api_job, job);
    self->run(self);
}

static void on_job_done(struct net_job *job)
{
    struct api_job *self = CONTAINER_OF(job, struct api_job, job);
    if (job->state == NET_JOB_REFUSED)
        err_set(&self->err, ERR_UNAVAILABLE, "too much work is waiting; try again");
    self->done(self);
}

void api_job_submit(struct api_job *self, struct ctl_call *call)
{
    self->call = call;
    self->err = ERR_INIT;
    self->job.run = run_job;
    self->job.done = on_job_done;
    net_job_submit(call->control->worker, &self->job);
}
