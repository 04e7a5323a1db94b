/*
 * What a tool tells of what it did: lines for people, or, with --json, one object at the end. Errors are not results: they go to standard
 * error either way.
 *
 * State of the process: a tool does one thing.
 */
#ifndef COMMON_RESULTS_H
#define COMMON_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

/** results_as_json() - from now on. */
void results_as_json(void);
bool results_are_json(void);

/** results_tell() - a line for people, with its end; in JSON one of "notes". */
void results_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** results_text(), results_number(), results_truth() - in JSON only: what a program asks for by name. */
void results_text(const char *name, const char *value);
void results_number(const char *name, uint64_t value);
void results_truth(const char *name, bool value);

/** results_finding() - something that was looked at; in JSON one of "findings", else a line. @verdict: ok, note, wrong. */
void results_finding(const char *verdict, const char *text);

/** results_any() - whether there is anything to print in JSON. */
bool results_any(void);

/** results_end() - print the object; nothing where results are not JSON. */
void results_end(void);

#endif
