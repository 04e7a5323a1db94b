/*
 * Is a secret in a process's memory, or in files?  memory-search SECRET-FILE {PID | FILE}...
 *
 * Looks for the bytes themselves, for their halves (a secret that was only half overwritten) and for them in
 * hexadecimal. Prints where; exit status 0 if there is nothing, 1 if there is, 2 if something could not be read.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MAX 64
#define CHUNK (1u << 20)
#define MAPPING_MAX (256UL << 20) /* larger ones are reservations: reading them would make the kernel fill them in */

struct pattern {
	char bytes[2 * SECRET_MAX + 1];
	size_t n;
	const char *what;
};

static struct pattern patterns[5];
static unsigned int n_patterns;
static bool found;

static void add(const void *p, size_t n, const char *what)
{
	memcpy(patterns[n_patterns].bytes, p, n);
	patterns[n_patterns].n = n;
	patterns[n_patterns++].what = what;
}

static void read_secret(const char *path)
{
	char secret[SECRET_MAX], lower[2 * SECRET_MAX + 1], upper[2 * SECRET_MAX + 1];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(secret, 1, sizeof(secret), f) : 0;

	if (n < 16) {
		fprintf(stderr, "memory-search: %s holds no secret of 16 bytes or more\n", path);
		exit(2);
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(lower + 2 * i, 3, "%02x", (unsigned char)secret[i]);
		snprintf(upper + 2 * i, 3, "%02X", (unsigned char)secret[i]);
	}
	add(secret, n / 2, "first half");
	add(secret + n / 2, n - n / 2, "second half");
	add(lower, 2 * n, "hexadecimal");
	add(upper, 2 * n, "hexadecimal");
	fclose(f);
}

static void search(const char *where, unsigned long at, const char *p, size_t n)
{
	for (unsigned int i = 0; i < n_patterns; i++) {
		const char *hit = memmem(p, n, patterns[i].bytes, patterns[i].n);

		if (!hit)
			continue;
		printf("%s: %s at %lx\n", where, patterns[i].what, at + (unsigned long)(hit - p));
		found = true;
	}
}

/* Chunks overlap by as much as a pattern can be long. */
static void search_range(int fd, const char *where, unsigned long from, unsigned long to)
{
	static char chunk[CHUNK];

	for (unsigned long at = from; at < to;) {
		size_t want = to - at < CHUNK ? to - at : CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)at);

		if (n <= 0)
			return; /* a guard page, or a device */
		search(where, at, chunk, (size_t)n);
		if ((size_t)n < want || at + (size_t)n >= to)
			return;
		at += (size_t)n - 2 * SECRET_MAX;
	}
}

static void search_process(const char *pid)
{
	char path[64], line[512], name[32];
	unsigned long from, to, read_bytes = 0;
	FILE *maps;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!maps || fd < 0) {
		fprintf(stderr, "memory-search: can't read the memory of process %s\n", pid);
		exit(2);
	}
	snprintf(name, sizeof(name), "process %s", pid);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx r", &from, &to) == 2 && to - from <= MAPPING_MAX) {
			search_range(fd, name, from, to);
			read_bytes += to - from;
		}
	if (read_bytes < 65536)
		exit(2);
	fclose(maps);
	close(fd);
}

static void search_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "memory-search: can't read %s\n", path);
		exit(2);
	}
	search_range(fd, path, 0, (unsigned long)lseek(fd, 0, SEEK_END));
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: memory-search SECRET-FILE {PID | FILE}...\n");
		return 2;
	}
	read_secret(argv[1]);
	for (int i = 2; i < argc; i++)
		if (strspn(argv[i], "0123456789") == strlen(argv[i]))
			search_process(argv[i]);
		else
			search_file(argv[i]);
	return found ? 1 : 0;
}
