/* The wall clock of the processes that load this, and of no other on the machine: `LD_PRELOAD=clock.so`, and
   INSPECTOR_TEST_CLOCK names a file that holds the seconds by which it is wrong. The monotonic clock is left alone.

   libfaketime would do the same, but refuses Python's sleeps (Debian 12's, EINVAL from clock_nanosleep). */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by_s(void) {
  char text[32];
  const char *path = getenv("INSPECTOR_TEST_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  long seconds = 0;
  for (ssize_t i = text[0] == '-'; i < length && text[i] >= '0' && text[i] <= '9'; i++) seconds = 10 * seconds + text[i] - '0';
  return text[0] == '-' ? -seconds : seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += wrong_by_s();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now) *now = exact.tv_sec;
  return exact.tv_sec;
}
