// What GCC's C++ library may need of a newer C library than glibc 2.28, which
// the release archives support.

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// 0 means that there may be other threads.
char __libc_single_threaded = 0;

uint32_t arc4random(void) {
	uint32_t x;
	ssize_t n;
	while ((n = getrandom(&x, sizeof x, 0)) != sizeof x)
		if (n < 0 && errno != EINTR)
			abort();
	return x;
}
