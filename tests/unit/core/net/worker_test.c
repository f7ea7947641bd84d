#include "core/net/worker.h"

#include "core/base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct note {
    struct net_message message;
    struct net_post post;
    struct timer timer;
    struct net_worker *worker;
    int value;
};

static int seen[64];
static int num_seen;

static void see(int value)
{
    if (num_seen < 64)
        seen[num_seen] = value;
    num_seen++;
}

static int setup(void **state)
{
    num_seen = 0;
    *state = net_worker_new(0, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    net_worker_free(*state);
    return 0;
}

static void on_post(struct net_post *post)
{
    see(CONTAINER_OF(post, struct note, post)->value);
}

static void posts_run_in_order_and_once(void **state)
{
    struct net_worker *worker = *state;
    struct note notes[3] = {{.value = 1}, {.value = 2}, {.value = 3}};

    for (int i = 0; i < 3; i++)
        net_post_init(&notes[i].post, on_post);
    net_post(worker, &notes[0].post);
    net_post(worker, &notes[1].post);
    net_post(worker, &notes[0].post);
    net_post(worker, &notes[2].post);
    net_post_cancel(&notes[1].post);
    net_worker_turn(worker, 0);
    assert_int_equal(num_seen, 2);
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 3);
}

static void on_post_again(struct net_post *post)
{
    struct note *note = CONTAINER_OF(post, struct note, post);

    see(note->value);
    net_post(note->worker, post);
}

static void a_post_that_posts_itself_does_not_stop_the_loop(void **state)
{
    struct note note = {.worker = *state, .value = 1};

    net_post_init(&note.post, on_post_again);
    net_post(*state, &note.post);
    net_worker_turn(*state, -1); /* neither waits nor spins for ever */
    assert_true(num_seen > 0);
    net_post_cancel(&note.post);
}

static void on_timer(struct timer *timer)
{
    struct note *note = CONTAINER_OF(timer, struct note, timer);

    see(note->value);
    net_worker_stop(note->worker);
}

static void a_timer_ends_the_wait(void **state)
{
    struct net_worker *worker = *state;
    struct note note = {.worker = worker, .value = 7};

    timer_init(&note.timer, on_timer);
    timer_start(&worker->timers, &note.timer, net_now_ms(worker) + 5);
    net_worker_run(worker);
    assert_int_equal(num_seen, 1);
}

static void on_message(struct net_message *message, struct net_worker *worker)
{
    struct note *note = CONTAINER_OF(message, struct note, message);

    see(note->value);
    if (note->value == 1000)
        net_worker_stop(worker);
    free(note);
}

static void send_note(struct net_worker *worker, int value)
{
    struct note *note = xcalloc(1, sizeof(*note));

    note->value = value;
    note->message.run = on_message;
    net_worker_send(worker, &note->message);
}

static void *send_thousand(void *worker)
{
    for (int i = 1; i <= 1000; i++)
        send_note(worker, i);
    return NULL;
}

static void messages_of_a_thread_arrive_in_order(void **state)
{
    pthread_t thread;

    pthread_create(&thread, NULL, send_thousand, *state);
    net_worker_run(*state);
    pthread_join(thread, NULL);
    assert_int_equal(num_seen, 1000);
    for (int i = 0; i < 64; i++)
        assert_int_equal(seen[i], i + 1);
}

struct crowd {
    struct net_worker *worker;
    int base;
};

static int last_of[4];

static void on_crowd_message(struct net_message *message, struct net_worker *worker)
{
    struct note *note = CONTAINER_OF(message, struct note, message);

    assert_int_equal(last_of[note->value / 10000] + 1, note->value % 10000);
    last_of[note->value / 10000]++;
    see(0);
    if (num_seen == 4 * 2000)
        net_worker_stop(worker);
    free(note);
}

static void *send_crowd(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 1; i <= 2000; i++) {
        struct note *note = xcalloc(1, sizeof(*note));
        note->value = crowd->base + i;
        note->message.run = on_crowd_message;
        net_worker_send(crowd->worker, &note->message);
    }
    return NULL;
}

static void each_of_many_senders_keeps_its_order(void **state)
{
    pthread_t threads[4];
    struct crowd crowds[4];

    memset(last_of, 0, sizeof(last_of));
    for (int i = 0; i < 4; i++) {
        crowds[i] = (struct crowd){*state, i * 10000};
        pthread_create(&threads[i], NULL, send_crowd, &crowds[i]);
    }
    net_worker_run(*state);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(num_seen, 8000);
}

static void messages_left_at_the_end_are_run_not_leaked(void **state)
{
    struct net_worker *worker = net_worker_new(1, 0, 0);

    send_note(worker, 1);
    send_note(worker, 2);
    net_worker_free(worker);
    assert_int_equal(num_seen, 2);
}

static void a_thread_starts_stops_and_joins(void **state)
{
    assert_int_equal(net_worker_start_thread(*state, "worker"), 0);
    send_note(*state, 1000);
    net_worker_join(*state);
    assert_int_equal(num_seen, 1);
}

static void a_stop_before_run_counts(void **state)
{
    net_worker_stop(*state);
    net_worker_run(*state);
}

static void on_signal(int number)
{
    see(number);
}

static void *interrupt(void *main_thread)
{
    pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
    return NULL;
}

static void a_signal_does_not_end_the_loop(void **state)
{
    struct sigaction action = {.sa_handler = on_signal};
    pthread_t self = pthread_self(), thread;

    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&thread, NULL, interrupt, &self);
    while (num_seen == 0)
        net_worker_turn(*state, 1000);
    pthread_join(thread, NULL);
    assert_int_equal(seen[0], SIGUSR1);
}

static void memory_levels_follow_the_limits(void **state)
{
    struct net_worker *worker = net_worker_new(1, 100, 200);

    assert_int_equal(net_mem_level(worker), NET_MEM_OK);
    net_mem_charge(worker, 100);
    assert_int_equal(net_mem_level(worker), NET_MEM_SHED);
    net_mem_charge(worker, 100);
    assert_int_equal(net_mem_level(worker), NET_MEM_CRITICAL);
    net_mem_release(worker, 200);
    assert_int_equal(net_mem_level(worker), NET_MEM_OK);
    net_worker_free(worker);
}

static void the_clock_of_a_turn_is_that_of_its_first_event(void **state)
{
    struct net_worker *worker = *state;

    send_note(worker, 1);
    worker->now_us = 1;
    net_worker_turn(worker, 0);
    assert_true(worker->now_us > 1);
    assert_false(worker->is_clock_stale);
    assert_true(worker->wall_us > 1600000000000000);
}

/* ---- jobs ---- */

struct work {
    struct net_job job;
    pthread_mutex_t *gate; /* `run` passes it, when there is one */
    atomic_bool has_started;
    bool has_run;
    int result;
    struct net_worker *worker;
};

static void work_run(struct net_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);

    atomic_store(&work->has_started, true);
    if (work->gate != NULL) {
        pthread_mutex_lock(work->gate);
        pthread_mutex_unlock(work->gate);
    }
    work->has_run = true;
}

static void work_done(struct net_job *job)
{
    CONTAINER_OF(job, struct work, job)->result = job->state;
    see(1);
}

static void work_drop(struct net_job *job)
{
    CONTAINER_OF(job, struct work, job)->result = -1;
    see(1);
}

static void work_init(struct work *work, pthread_mutex_t *gate)
{
    *work = (struct work){.job = {.run = work_run, .done = work_done, .drop = work_drop}, .gate = gate};
}

static void turn_until(struct net_worker *worker, int num)
{
    while (num_seen < num)
        net_worker_turn(worker, 1000);
}

static void a_job_runs_elsewhere_and_reports_here(void **state)
{
    struct work work;

    work_init(&work, NULL);
    net_job_submit(*state, &work.job);
    assert_int_equal(num_seen, 0);
    turn_until(*state, 1);
    assert_true(work.has_run);
    assert_int_equal(work.result, NET_JOB_DONE);
    net_job_submit(*state, &work.job); /* again, with the same struct */
    turn_until(*state, 2);
}

static void a_cancelled_job_is_dropped_once_the_thread_let_go(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct work running, waiting, done;

    net_jobs_stop();
    net_jobs_start(1);
    work_init(&running, &gate);
    work_init(&waiting, NULL);
    work_init(&done, NULL);
    pthread_mutex_lock(&gate);
    net_job_submit(*state, &running.job);
    net_job_submit(*state, &waiting.job);
    while (!atomic_load(&running.has_started))
        net_worker_turn(*state, 0);
    net_job_cancel(&running.job);
    net_job_cancel(&waiting.job);
    turn_until(*state, 1);
    assert_int_equal(waiting.result, -1);
    assert_false(waiting.has_run);
    assert_int_equal(running.result, 0);
    pthread_mutex_unlock(&gate);
    turn_until(*state, 2);
    assert_int_equal(running.result, -1);
    net_job_submit(*state, &done.job);
    net_jobs_stop(); /* ran or refused: reported either way */
    net_job_cancel(&done.job);
    turn_until(*state, 3);
    assert_int_equal(done.result, -1);
}

static void a_full_queue_refuses(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    size_t num = NET_JOBS_MAX_QUEUED + 2, num_refused = 0;
    struct work *works = xcalloc(num, sizeof(*works));

    net_jobs_start(1);
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < num; i++) {
        work_init(&works[i], &gate);
        net_job_submit(*state, &works[i].job);
        while (i == 0 && !atomic_load(&works[i].has_started))
            net_worker_turn(*state, 0);
    }
    pthread_mutex_unlock(&gate);
    turn_until(*state, (int)num);
    for (size_t i = 0; i < num; i++)
        num_refused += works[i].result == NET_JOB_REFUSED;
    assert_int_equal(num_refused, 1);
    net_jobs_stop();
    free(works);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(posts_run_in_order_and_once),
        TEST(a_post_that_posts_itself_does_not_stop_the_loop),
        TEST(a_timer_ends_the_wait),
        TEST(messages_of_a_thread_arrive_in_order),
        TEST(each_of_many_senders_keeps_its_order),
        TEST(messages_left_at_the_end_are_run_not_leaked),
        TEST(a_thread_starts_stops_and_joins),
        TEST(a_stop_before_run_counts),
        TEST(a_signal_does_not_end_the_loop),
        TEST(memory_levels_follow_the_limits),
        TEST(the_clock_of_a_turn_is_that_of_its_first_event),
        TEST(a_job_runs_elsewhere_and_reports_here),
        TEST(a_cancelled_job_is_dropped_once_the_thread_let_go),
        TEST(a_full_queue_refuses),
    };
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    net_jobs_stop();
    return ret;
}
