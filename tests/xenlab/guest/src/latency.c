/*
 * latency COMMAND-HEX [N]: sends one TPM command N times through /dev/tpm0, prints the median and the 99th percentile of
 * what the guest waits for an answer, in microseconds, and the response code of the last answer.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 100;
	uint8_t command[4096], answer[4096];
	size_t size = argc > 1 ? strlen(argv[1]) / 2 : 0;
	double *took = calloc((size_t)n, sizeof(*took));
	int fd = open("/dev/tpm0", O_RDWR);

	if (!took || n < 1 || size < 10 || size > sizeof(command) || fd < 0) {
		fprintf(stderr, "usage: latency COMMAND-HEX [N], with a /dev/tpm0\n");
		return 2;
	}
	for (size_t i = 0; i < size; i++) {
		unsigned int byte;

		if (sscanf(argv[1] + 2 * i, "%2x", &byte) != 1)
			return 2;
		command[i] = (uint8_t)byte;
	}
	for (long i = 0; i < n; i++) {
		double began = now_us();

		if (write(fd, command, size) != (ssize_t)size || read(fd, answer, sizeof(answer)) < 10) {
			perror("/dev/tpm0");
			return 1;
		}
		took[i] = now_us() - began;
	}
	qsort(took, (size_t)n, sizeof(*took), by_value);
	printf("%.0f %.0f %02x%02x%02x%02x\n", took[n / 2], took[n * 99 / 100], answer[6], answer[7], answer[8], answer[9]);
	return 0;
}
