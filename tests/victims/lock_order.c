/* SPDX-License-Identifier: MIT */
/*
 * lock_order CASE [TIMES]: threads that run one after the other and take the same locks in opposite orders,
 * which could have been their end had they run at once. The cases of the second table are the clean twins: nothing
 * can go wrong there. Prints "done".
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define MUTEX PTHREAD_MUTEX_INITIALIZER

static pthread_mutex_t alpha = MUTEX, beta = MUTEX, gamma_lock = MUTEX, gate = MUTEX;
static pthread_mutex_t row[8] = { MUTEX, MUTEX, MUTEX, MUTEX, MUTEX, MUTEX, MUTEX, MUTEX };
static pthread_rwlock_t book = PTHREAD_RWLOCK_INITIALIZER, page = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static int times = 1;

/* In a thread of its own, to its end. */
static void in_thread(void (*body)(void))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, (void *(*)(void *))(uintptr_t)body, NULL))
		abort();
	pthread_join(thread, NULL);
}

static NOINLINE void both(pthread_mutex_t *first, pthread_mutex_t *second)
{
	pthread_mutex_lock(first);
	pthread_mutex_lock(second);
	pthread_mutex_unlock(second);
	pthread_mutex_unlock(first);
}

static NOINLINE void alpha_beta(void)
{
	pthread_mutex_lock(&alpha);
	pthread_mutex_lock(&beta);
	pthread_mutex_unlock(&beta);
	pthread_mutex_unlock(&alpha);
}

static NOINLINE void beta_alpha(void)
{
	pthread_mutex_lock(&beta);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
	pthread_mutex_unlock(&beta);
}

static void opposite(void)
{
	int i;

	for (i = 0; i < times; i++) {
		in_thread(alpha_beta);
		in_thread(beta_alpha);
	}
}

/* The same two, once within a third lock: that is another sight of the same cycle. */
static NOINLINE void gamma_beta_alpha(void)
{
	pthread_mutex_lock(&gamma_lock);
	beta_alpha();
	pthread_mutex_unlock(&gamma_lock);
}

static void again(void)
{
	opposite();
	in_thread(gamma_beta_alpha);
}

static NOINLINE void beta_gamma(void)
{
	pthread_mutex_lock(&beta);
	pthread_mutex_lock(&gamma_lock);
	pthread_mutex_unlock(&gamma_lock);
	pthread_mutex_unlock(&beta);
}

static NOINLINE void gamma_alpha(void)
{
	pthread_mutex_lock(&gamma_lock);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
	pthread_mutex_unlock(&gamma_lock);
}

static void three(void)
{
	in_thread(alpha_beta);
	in_thread(beta_gamma);
	in_thread(gamma_alpha);
}

static void prepare(void)
{
	pthread_mutex_lock(&alpha);
	pthread_mutex_lock(&beta);
}

static void release(void)
{
	pthread_mutex_unlock(&beta);
	pthread_mutex_unlock(&alpha);
}

static void fork_once(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void handler(void)
{
	pthread_atfork(prepare, release, release);
	in_thread(beta_alpha);
	fork_once();
}

static void handler_clean(void)
{
	pthread_atfork(prepare, release, release);
	in_thread(alpha_beta);
	fork_once();
}

/* Two objects of different kinds, each made by a function of its own. */
struct object {
	pthread_mutex_t lock;
};

static NOINLINE struct object *session_new(void)
{
	struct object *object = malloc(sizeof(*object));

	pthread_mutex_init(&object->lock, NULL);
	return object;
}

static NOINLINE struct object *channel_new(void)
{
	struct object *object = malloc(2 * sizeof(*object));

	pthread_mutex_init(&object->lock, NULL);
	return object;
}

static void object_free(struct object *object)
{
	pthread_mutex_destroy(&object->lock);
	free(object);
}

static struct object *session, *channel;

static NOINLINE void session_channel(void)
{
	both(&session->lock, &channel->lock);
}

static NOINLINE void channel_session(void)
{
	both(&channel->lock, &session->lock);
}

static void heap(void)
{
	session = session_new();
	channel = channel_new();
	in_thread(session_channel);
	in_thread(channel_session);
}

static NOINLINE void pair(void (*use)(void))
{
	session = session_new();
	channel = channel_new();
	in_thread(use);
	object_free(session);
	object_free(channel);
}

/* The second pair are other objects, of the same kinds. */
static void heap_kinds(void)
{
	pair(session_channel);
	pair(channel_session);
}

/* Two of one kind. */
static void heap_same(void)
{
	session = session_new();
	channel = session_new();
	in_thread(session_channel);
	in_thread(channel_session);
}

static NOINLINE void init_all(struct object *object, int count)
{
	while (count--)
		pthread_mutex_init(&object++->lock, NULL);
}

/* Two of one kind, freed; and two that lie where those did, the other way round. */
static void heap_reused(void)
{
	static struct object place[2];
	struct object *copy = malloc(sizeof(place));
	int round;

	for (round = 0; round < 2; round++) {
		session = &copy[round];
		channel = &copy[!round];
		init_all(copy, 2);
		in_thread(session_channel);
		pthread_mutex_destroy(&session->lock);
		pthread_mutex_destroy(&channel->lock);
	}
}

/* Never initialised by a call. */
static void heap_plain(void)
{
	static const pthread_mutex_t open = MUTEX;

	session = malloc(sizeof(*session));
	channel = malloc(sizeof(*channel));
	session->lock = channel->lock = open;
	in_thread(session_channel);
	in_thread(channel_session);
}

static NOINLINE void read_book_alpha(void)
{
	pthread_rwlock_rdlock(&book);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
	pthread_rwlock_unlock(&book);
}

static NOINLINE void alpha_write_book(void)
{
	pthread_mutex_lock(&alpha);
	pthread_rwlock_wrlock(&book);
	pthread_rwlock_unlock(&book);
	pthread_mutex_unlock(&alpha);
}

static NOINLINE void alpha_read_book(void)
{
	pthread_mutex_lock(&alpha);
	pthread_rwlock_rdlock(&book);
	pthread_rwlock_unlock(&book);
	pthread_mutex_unlock(&alpha);
}

static void rwlock(void)
{
	in_thread(read_book_alpha);
	in_thread(alpha_write_book);
}

static void rwlock_reads(void)
{
	in_thread(read_book_alpha);
	in_thread(alpha_read_book);
}

static void reads_rwlock(void)
{
	in_thread(alpha_read_book);
	in_thread(read_book_alpha);
}

static NOINLINE void read_book_page(void)
{
	pthread_rwlock_rdlock(&book);
	pthread_rwlock_rdlock(&page);
	pthread_rwlock_unlock(&page);
	pthread_rwlock_unlock(&book);
}

static NOINLINE void read_page_book(void)
{
	pthread_rwlock_rdlock(&page);
	pthread_rwlock_rdlock(&book);
	pthread_rwlock_unlock(&book);
	pthread_rwlock_unlock(&page);
}

static void readers(void)
{
	in_thread(read_book_page);
	in_thread(read_page_book);
}

static NOINLINE void spin_alpha(void)
{
	pthread_spin_lock(&spin);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
	pthread_spin_unlock(&spin);
}

static NOINLINE void alpha_spin(void)
{
	pthread_mutex_lock(&alpha);
	pthread_spin_lock(&spin);
	pthread_spin_unlock(&spin);
	pthread_mutex_unlock(&alpha);
}

static void spinning(void)
{
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	in_thread(spin_alpha);
	in_thread(alpha_spin);
}

/* The wait gives alpha back and asks for it again, beta in hand. */
static NOINLINE void wait_with_beta(void)
{
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&alpha);
	pthread_mutex_lock(&beta);
	pthread_cond_timedwait(&never, &alpha, &now);
	pthread_mutex_unlock(&beta);
	pthread_mutex_unlock(&alpha);
}

static void condition(void)
{
	in_thread(wait_with_beta);
}

static NOINLINE void wait_alone(void)
{
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&beta);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&beta);
	pthread_cond_timedwait(&never, &alpha, &now);
	pthread_mutex_lock(&gamma_lock);
	pthread_mutex_unlock(&gamma_lock);
	pthread_mutex_unlock(&alpha);
}

static void condition_clean(void)
{
	in_thread(wait_alone);
	in_thread(wait_alone);
}

/* A small stack, and the report. */
static void small_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384 + 8192);
	in_thread(alpha_beta);
	if (pthread_create(&thread, &attributes, (void *(*)(void *))(uintptr_t)beta_alpha, NULL))
		abort();
	pthread_join(thread, NULL);
}

static NOINLINE void beta_try_alpha(void)
{
	pthread_mutex_lock(&beta);
	if (!pthread_mutex_trylock(&alpha))
		pthread_mutex_unlock(&alpha);
	pthread_mutex_unlock(&beta);
}

static NOINLINE void try_beta_alpha(void)
{
	if (pthread_mutex_trylock(&beta))
		return;
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
	pthread_mutex_unlock(&beta);
}

/* What was taken by trying is held all the same. */
static void tried_first(void)
{
	in_thread(alpha_beta);
	in_thread(try_beta_alpha);
}

static void trylock(void)
{
	in_thread(alpha_beta);
	in_thread(beta_try_alpha);
}

static void consistent(void)
{
	in_thread(alpha_beta);
	in_thread(beta_gamma);
	in_thread(alpha_beta);
	both(&alpha, &gamma_lock);
}

static void hand_over_hand(void)
{
	int round, i;

	for (round = 0; round < 3; round++) {
		pthread_mutex_lock(&row[0]);
		for (i = 1; i < 8; i++) {
			pthread_mutex_lock(&row[i]);
			pthread_mutex_unlock(&row[i - 1]);
		}
		pthread_mutex_unlock(&row[7]);
	}
}

static void hand_over_hand_heap(void)
{
	struct object *list[64];
	int round, i;

	for (i = 0; i < 64; i++)
		list[i] = session_new();
	for (round = 0; round < 3; round++) {
		pthread_mutex_lock(&list[0]->lock);
		for (i = 1; i < 64; i++) {
			pthread_mutex_lock(&list[i]->lock);
			pthread_mutex_unlock(&list[i - 1]->lock);
		}
		pthread_mutex_unlock(&list[63]->lock);
	}
}

static NOINLINE void gate_alpha_beta(void)
{
	pthread_mutex_lock(&gate);
	alpha_beta();
	pthread_mutex_unlock(&gate);
}

static NOINLINE void gate_beta_alpha(void)
{
	pthread_mutex_lock(&gate);
	beta_alpha();
	pthread_mutex_unlock(&gate);
}

static void gated(void)
{
	in_thread(gate_alpha_beta);
	in_thread(gate_beta_alpha);
}

/* Only one of them takes the gate. */
static void gated_once(void)
{
	in_thread(gate_alpha_beta);
	in_thread(gate_beta_alpha);
	in_thread(beta_alpha);
}

static void relock(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t again;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&again, &attributes);
	pthread_mutex_lock(&again);
	pthread_mutex_lock(&alpha);
	pthread_mutex_lock(&again);
	pthread_mutex_unlock(&again);
	pthread_mutex_unlock(&alpha);
	pthread_mutex_unlock(&again);
}

/* Semaphores that tell of events are no locks. */
static sem_t event;

static NOINLINE void wait_event(void)
{
	sem_wait(&event);
	pthread_mutex_lock(&alpha);
	pthread_mutex_unlock(&alpha);
}

static NOINLINE void wait_event_inside(void)
{
	pthread_mutex_lock(&alpha);
	sem_wait(&event);
	pthread_mutex_unlock(&alpha);
}

static void events(void)
{
	int i;

	sem_init(&event, 0, 0);
	for (i = 0; i < 2; i++) {
		sem_post(&event);
		in_thread(i ? wait_event_inside : wait_event);
	}
}

static sem_t one, other;

static NOINLINE void one_other(void)
{
	sem_wait(&one);
	sem_wait(&other);
	sem_post(&other);
	sem_post(&one);
}

static NOINLINE void other_one(void)
{
	sem_wait(&other);
	sem_wait(&one);
	sem_post(&one);
	sem_post(&other);
}

/* These are, which shows when they are posted by those who waited. */
static void semaphores(void)
{
	sem_init(&one, 0, 1);
	sem_init(&other, 0, 1);
	in_thread(one_other);
	in_thread(one_other);
	in_thread(other_one);
}

/* Unlocked by another thread, which a plain mutex lets it do: held no more. */
static void unlock_alpha(void)
{
	pthread_mutex_unlock(&alpha);
}

static void unlocked_by_other(void)
{
	in_thread(beta_alpha);
	pthread_mutex_lock(&alpha);
	in_thread(unlock_alpha);
	pthread_mutex_lock(&beta);
	pthread_mutex_unlock(&beta);
}

/* In a forked child, whose thread has another id than its locks have. */
static void forked(void)
{
	pid_t pid;

	alpha_beta();
	pid = fork();
	if (pid == 0) {
		beta_alpha();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "opposite", opposite },
	{ "again", again },
	{ "three", three },
	{ "handler", handler },
	{ "heap", heap },
	{ "heap_kinds", heap_kinds },
	{ "heap_same", heap_same },
	{ "heap_plain", heap_plain },
	{ "rwlock", rwlock },
	{ "spin", spinning },
	{ "condition", condition },
	{ "small_stack", small_stack },
	{ "tried_first", tried_first },
	{ "gated_once", gated_once },
	{ "semaphores", semaphores },
	{ "forked", forked },
	/* clean */
	{ "consistent", consistent },
	{ "handler_clean", handler_clean },
	{ "heap_reused", heap_reused },
	{ "rwlock_reads", rwlock_reads },
	{ "reads_rwlock", reads_rwlock },
	{ "readers", readers },
	{ "condition_clean", condition_clean },
	{ "trylock", trylock },
	{ "hand_over_hand", hand_over_hand },
	{ "hand_over_hand_heap", hand_over_hand_heap },
	{ "gated", gated },
	{ "relock", relock },
	{ "events", events },
	{ "unlocked_by_other", unlocked_by_other },
};

int main(int argc, char **argv)
{
	size_t i;

	times = argc > 2 ? atoi(argv[2]) : 1;
	for (i = 0; argc > 1 && i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			printf("done\n");
			return 0;
		}
	return 2;
}
