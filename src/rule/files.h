/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rule files of an instance: which of them are effective, and the rules in them */

#include "rule.h"

/*
 * files_load() - read the rule files of a list of directories
 * @dirs:     NULL-terminated, the strongest first; one that does not exist counts as empty. Of files with one name,
 *            that in the first directory wins; if it is empty or a symlink to /dev/null, it masks the others.
 * @ret:      the set, to be freed with rule_set_free(); set on 0 only
 * @problems: everything that is wrong in any file, appended
 *
 * Files without the suffix ".rule" are ignored. Never blocks on a file that is not regular (a FIFO is a problem), and
 * never reads more than RULE_FILE_MAX bytes of one. image_compile() finds conflicts between rules.
 *
 * Return: 0, RULE_BAD, or -ENOMEM.
 */
int files_load(const char *const *dirs, struct rule_set **ret, struct problems *problems);

/*
 * files_reload() - as files_load(), but files that have not changed since an earlier load are not read again
 * @before: may be NULL; rules that both sets have (rule_is_same()) outlive it
 *
 * A file is recognised by its path, its inode and its times (file.h).
 */
int files_reload(const struct rule_set *before, const char *const *dirs, struct rule_set **ret,
	struct problems *problems);

/* files_reload_text() - the same, and the rules that were read have their text, for spare_save() */
int files_reload_text(const struct rule_set *before, const char *const *dirs, struct rule_set **ret,
	struct problems *problems);

/*
 * files_load_good() - as files_load(), but without the files that cannot be used
 * @spare:    a folder with copies of files that were good (spare.h): such a copy takes the place of a bad file. May be NULL
 * @problems: everything that is wrong
 *
 * The set has a fault for each name whose file cannot be used. If a directory cannot be read, this applies to all names of
 * weaker directories, because the file that would count or mask theirs may be there, and for all copies.
 *
 * Return: 0 or -ENOMEM.
 */
int files_load_good(
	const char *const *dirs, const char *spare, struct rule_set **ret, struct problems *problems);

/*
 * files_set_aside() - the file of a rule turned out not to fit the others
 * @path: of the rule
 * @text: for the fault
 *
 * If the rule is not from @spare, the copy there takes its place.
 *
 * Return: whether the set has changed, or -ENOMEM.
 */
int files_set_aside(struct rule_set *set, const char *path, const char *spare, const char *text);

/*
 * files_foreach() - call a function with the text of every file that files_load() would read, in their order
 * @function: @text is NULL for a file that masks others; it is not terminated, and may have any bytes
 *
 * Return: 0, RULE_BAD when a directory or a file cannot be read, or -ENOMEM.
 */
int files_foreach(const char *const *dirs,
	void (*function)(const char *path, const char *text, size_t size, void *userdata), void *userdata,
	struct problems *problems);

/* The role of a file among those of its name */
enum rule_file_role {
	RULE_FILE_COUNTS,   /* it is read, good or bad */
	RULE_FILE_MASKS,    /* it is empty or /dev/null: there is no rule of that name */
	RULE_FILE_REPLACED, /* a stronger one is read in its place */
	RULE_FILE_MASKED,   /* a stronger one masks it */
};

/*
 * files_foreach_path() - call a function for each rule file, effective or not; none is opened
 * @function: @by is the stronger file of a REPLACED or MASKED one, else NULL
 *
 * In the order of names, and the strongest of each name first.
 *
 * Return: 0, RULE_BAD when a directory or a file cannot be looked at, or -ENOMEM.
 */
int files_foreach_path(const char *const *dirs,
	void (*function)(const char *path, enum rule_file_role role, const char *by, void *userdata),
	void *userdata, struct problems *problems);

/* files_load_named() - as files_load(), from a list of files, without precedence and masking (usherctl check PATH) */
int files_load_named(const char *const *paths, struct rule_set **ret, struct problems *problems);

/*
 * files_load_one() - the rule of a name alone, from the file that files_load() would read for it
 * @ret: for rule_deinit(); set on 0 only
 *
 * Return: 0, RULE_BAD, FILE_GONE or FILE_MASKED (file.h) when there is none, or -ENOMEM.
 */
int files_load_one(const char *const *dirs, const char *name, struct rule *ret, struct problems *problems);
