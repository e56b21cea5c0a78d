/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Names of descriptors that the service manager gives back, and of pins: anybody may have chosen them who is root
 *
 * A name that is accepted is the one that is written for what was read from it.
 */

#undef NDEBUG
#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holder/store.h"
#include "pins/folder.h"
#include "util/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1); /* of the exact size, so that the sanitizer sees reads beyond it */
	char name[NAME_LENGTH_MAX + 1], again[STORE_NAME_MAX], program[32];
	uint64_t number;

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (store_parse_name(text, name, &number)) {
		assert(name_is_valid(name) && number);
		(void)snprintf(again, sizeof(again), "held/%s/%" PRIx64, name, number);
		assert(strcmp(again, text) == 0);
	}
	if (pins_folder_parse_program(text, &number))
		assert(strcmp(pins_folder_program(number, program), text) == 0);
	free(text);
	return 0;
}
