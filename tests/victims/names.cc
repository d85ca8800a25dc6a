/* flags: -O2 -fno-exceptions -fno-rtti */
// SPDX-License-Identifier: MIT
/*
 * Names of C++ and Rust, and functions that were inlined. A thread holds a lock when the program forks, and the child
 * takes it: take() is inlined into Pool<int>::hold(int const&), started() into main(), where a lambda takes the lock.
 *
 * names cpp|rust|legacy|bomb   the lock's name is of that kind; a bomb is one of gigabytes
 * names hang                   a thread takes a lock that it holds
 */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace app
{
pthread_mutex_t cpp = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t rust __asm__("_RNvC7mycrate4LOCK") = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t
	legacy __asm__("_ZN7mycrate6LEGACY17h0123456789abcdefE") = PTHREAD_MUTEX_INITIALIZER;
/* bomb(A<int, int>, A<A<int, int>, A<int, int> >, ...): each twice the one before. */
pthread_mutex_t bomb __asm__(
	"_Z4bomb1AIiiES_IS0_S0_ES_IS1_S1_ES_IS2_S2_ES_IS3_S3_ES_IS4_S4_ES_IS5_S5_ES_IS6_S"
	"6_ES_IS7_S7_ES_IS8_S8_ES_IS9_S9_ES_ISA_SA_ES_ISB_SB_ES_ISC_SC_ES_ISD_SD_ES_ISE_S"
	"E_ES_ISF_SF_ES_ISG_SG_ES_ISH_SH_ES_ISI_SI_ES_ISJ_SJ_ES_ISK_SK_ES_ISL_SL_ES_ISM_S"
	"M_ES_ISN_SN_ES_ISO_SO_ES_ISP_SP_ES_ISQ_SQ_ES_ISR_SR_E") = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t *lock = &cpp;
static int ready[2];

static inline __attribute__((always_inline)) void take(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex); /* line: take */
	__asm__ volatile("" ::: "memory");
}

template <typename T> struct Pool {
	T size;
	__attribute__((noinline)) void hold(const T &count)
	{
		take(lock); /* line: hold */
		size += count;
	}
};

template struct Pool<int>;

static void *holder(void *pool)
{
	char byte = 0;

	static_cast<Pool<int> *>(pool)->hold(1);
	if (write(ready[1], &byte, 1) != 1)
		_exit(2);
	for (;;)
		pause();
}

__attribute__((noinline)) static int twice(Pool<int> *pool)
{
	pool->hold(1);
	take(lock);
	return pool->size;
}

static inline __attribute__((always_inline)) pid_t started()
{
	return fork(); /* line: started */
}
} // namespace app

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "cpp";
	app::Pool<int> pool = { 0 };
	pthread_t thread;
	int status = 0;
	char byte;
	pid_t pid;

	if (!strcmp(kind, "hang"))
		return app::twice(&pool);
	if (!strcmp(kind, "rust"))
		app::lock = &app::rust;
	else if (!strcmp(kind, "legacy"))
		app::lock = &app::legacy;
	else if (!strcmp(kind, "bomb"))
		app::lock = &app::bomb;
	if (pipe(app::ready) || pthread_create(&thread, nullptr, app::holder, &pool) ||
	    read(app::ready[0], &byte, 1) != 1)
		return 2;
	auto child = []() __attribute__((noinline))
	{
		app::take(app::lock);
		__asm__ volatile("" ::: "memory");
	};
	pid = app::started(); /* line: main */
	if (!pid) {
		alarm(1);
		child();
		_exit(3);
	}
	return waitpid(pid, &status, 0) != pid;
}
